/* A libcudart.so.13 whose device is the host's memory. It checks what it is given: a pointer that was not allocated,
 * a size beyond it, a stream or event that was not created, a direction that does not fit.
 *
 * FAKE_CUDA="cudaMalloc=2" makes a call return an error. stub_held() counts what was created and not given back.
 * What runs on a stream runs when it is waited for, as on a real one.
 *
 * Prototypes: https://docs.nvidia.com/cuda/cuda-runtime-api
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, INVALID_VALUE = 1, MEMORY = 2, INVALID_HANDLE = 400, NOT_READY = 600 };
enum { ALLOCATION = 1, STREAM, EVENT, ROOM = 64 };

typedef struct { int kind; char *at; size_t size; void *stream; double ms; int recorded, done; } Held;
typedef struct { void *to; const void *from; size_t size; void *stream; Held *event; } Work;

static Held held[ROOM];
static Work queue[ROOM];
static int waiting;
static double clock_ms = 5;

static int asked(const char *name) {
    const char *wish = getenv("FAKE_CUDA");
    size_t length = strlen(name);
    return wish && !strncmp(wish, name, length) && wish[length] == '=' ? atoi(wish + length + 1) : SUCCESS;
}

static Held *find(int kind, const void *at) {
    for (int i = 0; i < ROOM; i++)
        if (held[i].kind == kind && (kind == ALLOCATION ? held[i].at == at : (void *)&held[i] == at)) return &held[i];
    return 0;
}

static Held *hold(int kind) {
    for (int i = 0; i < ROOM; i++)
        if (!held[i].kind) {
            memset(&held[i], 0, sizeof held[i]);
            held[i].kind = kind;
            return &held[i];
        }
    return 0;
}

int stub_held(void) {
    int count = 0;
    for (int i = 0; i < ROOM; i++) count += held[i].kind != 0;
    return count;
}

const char *cudaGetErrorString(int status) {
    return status == MEMORY ? "out of memory" : status == INVALID_VALUE ? "invalid argument"
         : status == INVALID_HANDLE ? "invalid resource handle" : status == NOT_READY ? "device not ready"
         : status == 700 ? "an illegal memory access was encountered" : "unknown error";
}

int cudaMalloc(void **pointer, size_t size) {
    Held *one;
    if (asked("cudaMalloc")) return asked("cudaMalloc");
    if (size > (size_t)1 << 40 || !(one = hold(ALLOCATION))) return MEMORY;
    *pointer = one->at = malloc(size);
    one->size = size;
    return SUCCESS;
}

int cudaFree(void *pointer) {
    Held *one = find(ALLOCATION, pointer);
    if (!one) return INVALID_VALUE;
    free(one->at);
    one->kind = 0;
    return SUCCESS;
}

int cudaMemcpyAsync(void *to, const void *from, size_t size, int direction, void *stream) {
    Held *device = find(ALLOCATION, direction == 1 ? to : from);
    if (!find(STREAM, stream)) return INVALID_HANDLE;
    if (!device || size > device->size || (direction != 1 && direction != 2)) return INVALID_VALUE;
    if (asked("cudaMemcpyAsync")) return asked("cudaMemcpyAsync");
    queue[waiting++] = (Work){to, from, size, stream, 0};
    return SUCCESS;
}

int cudaStreamCreate(void **stream) { return (*stream = hold(STREAM)) ? asked("cudaStreamCreate") : MEMORY; }

static int give_back(int kind, void *at) {
    Held *one = find(kind, at);
    if (!one) return INVALID_HANDLE;
    one->kind = 0;
    return SUCCESS;
}

int cudaStreamDestroy(void *stream) { return give_back(STREAM, stream); }

int cudaStreamSynchronize(void *stream) {
    if (!find(STREAM, stream)) return INVALID_HANDLE;
    for (int i = 0; i < waiting; i++) {
        if (queue[i].event) {
            queue[i].event->ms = clock_ms;
            queue[i].event->done = 1;
        } else {
            memcpy(queue[i].to, queue[i].from, queue[i].size);
            clock_ms += (double)queue[i].size / 1000; /* 1 µs a byte */
        }
    }
    waiting = 0;
    return asked("cudaStreamSynchronize"); /* what ran on the stream fails here */
}

int cudaEventCreate(void **event) { return (*event = hold(EVENT)) ? asked("cudaEventCreate") : MEMORY; }
int cudaEventDestroy(void *event) { return give_back(EVENT, event); }

int cudaEventRecord(void *event, void *stream) {
    Held *one = find(EVENT, event);
    if (!one || !find(STREAM, stream)) return INVALID_HANDLE;
    one->recorded = 1;
    one->done = 0;
    queue[waiting++] = (Work){0, 0, 0, stream, one};
    return SUCCESS;
}

int cudaEventElapsedTime(float *ms, void *start, void *end) {
    Held *first = find(EVENT, start), *last = find(EVENT, end);
    if (!first || !last || !first->recorded || !last->recorded) return INVALID_HANDLE;
    if (!first->done || !last->done) return NOT_READY;
    *ms = (float)(last->ms - first->ms);
    return SUCCESS;
}
