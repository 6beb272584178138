/* A libnvidia-ml.so.1 that answers what the file named by FAKE_NVML says, read again at every call.
 *
 * Lines are `name answer`. `error N` makes a call return N; a name that is not there returns NVML_ERROR_NOT_SUPPORTED.
 *
 *   init | count | driver | cuda
 *   0.handle 0.name 0.capability 0.utilization 0.mig 0.slices      of GPU 0
 *   0.memory TOTAL RESERVED USED                                    bytes
 *   0.compute PID:BYTES PID:na self:BYTES | none                    likewise 0.graphics and 0.mps
 *   0.1.name ...                                                    of slice 1 of GPU 0; it exists when it has a name
 *
 * Prototypes: https://docs.nvidia.com/deploy/nvml-api; the structures are those of nvml.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, UNINITIALIZED = 1, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, UNKNOWN = 999 };
enum { SLICES = 8 };
#define NOT_AVAILABLE (~0ULL)

static int opened; /* nvmlInit less nvmlShutdown; NVML answers nothing at 0 */

typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned int version; unsigned long long total, reserved, free, used; } MemoryV2;
typedef struct { unsigned int pid; unsigned long long used; unsigned int gpu_instance, compute_instance; } Process;
typedef struct { unsigned int gpu, memory; } Utilization;

/* What the scenario says under `name`: SUCCESS with the text in `said`, or the error that it asks for. */
static int answer(const char *name, char said[512]) {
    char line[640];
    size_t length = strlen(name);
    int found = NOT_SUPPORTED;
    FILE *file;
    if (!opened && strcmp(name, "init")) return UNINITIALIZED;
    file = fopen(getenv("FAKE_NVML"), "r");
    if (!file) return UNKNOWN;
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, name, length) || line[length] != ' ') continue;
        line[strcspn(line, "\n")] = 0;
        if (sscanf(line + length, " error %d", &found) != 1) {
            snprintf(said, 512, "%s", line + length + 1);
            found = SUCCESS;
        }
    }
    fclose(file);
    return found;
}

/* A handle is 1 + GPU * (SLICES + 1) + (1 + slice, 0 for the GPU itself). */
static void *handle_of(unsigned int gpu, unsigned int slice) { return (void *)(size_t)(1 + gpu * (SLICES + 1) + slice); }

static int asked(void *handle, const char *what, char said[512]) {
    char name[64];
    size_t number = (size_t)handle - 1, gpu = number / (SLICES + 1), slice = number % (SLICES + 1);
    if (slice) snprintf(name, sizeof name, "%zu.%zu.%s", gpu, slice - 1, what);
    else snprintf(name, sizeof name, "%zu.%s", gpu, what);
    return answer(name, said);
}

static int number(const char *name, unsigned int *value) {
    char said[512];
    int status = answer(name, said);
    if (status == SUCCESS) *value = (unsigned int)strtoul(said, 0, 10);
    return status;
}

int nvmlInitWithFlags(unsigned int flags) {
    char said[512];
    int status = answer("init", said);
    (void)flags;
    if (status != SUCCESS && status != NOT_SUPPORTED) return status;
    opened++;
    return SUCCESS;
}

int nvmlShutdown(void) {
    if (!opened) return UNINITIALIZED;
    opened--;
    return SUCCESS;
}

const char *nvmlErrorString(int status) { static char text[32]; snprintf(text, sizeof text, "error %d", status); return text; }
int nvmlDeviceGetCount_v2(unsigned int *count) { return number("count", count); }

int nvmlSystemGetDriverVersion(char *version, unsigned int length) {
    char said[512];
    int status = answer("driver", said);
    if (status == SUCCESS) snprintf(version, length, "%s", said);
    return status;
}

int nvmlSystemGetCudaDriverVersion_v2(int *version) { return number("cuda", (unsigned int *)version); }

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **handle) {
    char said[512];
    int status;
    *handle = handle_of(index, 0);
    status = asked(*handle, "handle", said);
    return status == NOT_SUPPORTED ? SUCCESS : status;
}

int nvmlDeviceGetName(void *handle, char *name, unsigned int length) {
    char said[512];
    int status = asked(handle, "name", said);
    if (status == SUCCESS) snprintf(name, length, "%s", said);
    return status;
}

static int memory(void *handle, MemoryV2 *found) {
    char said[512];
    int status = asked(handle, "memory", said);
    if (status != SUCCESS) return status;
    sscanf(said, "%llu %llu %llu", &found->total, &found->reserved, &found->used);
    found->free = found->total - found->reserved - found->used;
    return SUCCESS;
}

int nvmlDeviceGetMemoryInfo(void *handle, Memory *info) {
    MemoryV2 found;
    int status = memory(handle, &found);
    if (status != SUCCESS) return status;
    info->total = found.total;
    info->free = found.free;
    info->used = found.used + found.reserved;
    return SUCCESS;
}

#ifndef OLD_DRIVER
int nvmlDeviceGetMemoryInfo_v2(void *handle, MemoryV2 *info) {
    return info->version == (sizeof(MemoryV2) | 2u << 24) ? memory(handle, info) : 25;
}
#endif

static int processes(void *handle, const char *what, unsigned int *count, Process *infos) {
    char said[512], *entry, *rest;
    unsigned int found = 0, room = *count;
    int status = asked(handle, what, said);
    if (status != SUCCESS) return status;
    for (entry = strtok_r(said, " ", &rest); entry; entry = strtok_r(0, " ", &rest)) {
        char *used = strchr(entry, ':');
        if (!used) continue; /* none */
        if (infos && found < room) {
            infos[found].pid = strncmp(entry, "self:", 5) ? (unsigned int)strtoul(entry, 0, 10) : (unsigned int)getpid();
            infos[found].used = strcmp(used, ":na") ? strtoull(used + 1, 0, 10) : NOT_AVAILABLE;
            infos[found].gpu_instance = infos[found].compute_instance = ~0u;
        }
        found++;
    }
    *count = found;
    return found <= room ? SUCCESS : INSUFFICIENT_SIZE;
}

#ifndef OLD_DRIVER
int nvmlDeviceGetComputeRunningProcesses_v3(void *h, unsigned int *n, Process *p) { return processes(h, "compute", n, p); }
int nvmlDeviceGetGraphicsRunningProcesses_v3(void *h, unsigned int *n, Process *p) { return processes(h, "graphics", n, p); }
int nvmlDeviceGetMPSComputeRunningProcesses_v3(void *h, unsigned int *n, Process *p) { return processes(h, "mps", n, p); }
#endif

int nvmlDeviceGetUtilizationRates(void *handle, Utilization *rates) {
    char said[512];
    int status = asked(handle, "utilization", said);
    if (status == SUCCESS) rates->gpu = rates->memory = (unsigned int)strtoul(said, 0, 10);
    return status;
}

int nvmlDeviceGetCudaComputeCapability(void *handle, int *major, int *minor) {
    char said[512];
    int status = asked(handle, "capability", said);
    if (status == SUCCESS) sscanf(said, "%d.%d", major, minor);
    return status;
}

int nvmlDeviceGetMigMode(void *handle, unsigned int *current, unsigned int *pending) {
    char said[512];
    int status = asked(handle, "mig", said);
    if (status == SUCCESS) *current = *pending = (unsigned int)strtoul(said, 0, 10);
    return status;
}

int nvmlDeviceGetMaxMigDeviceCount(void *handle, unsigned int *count) { (void)handle; *count = SLICES - 1; return SUCCESS; }

int nvmlDeviceGetMigDeviceHandleByIndex(void *handle, unsigned int index, void **slice) {
    char said[512];
    *slice = handle_of((unsigned int)(((size_t)handle - 1) / (SLICES + 1)), index + 1);
    return asked(*slice, "name", said) == NOT_SUPPORTED ? NOT_FOUND : SUCCESS;
}
