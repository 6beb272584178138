"""A plug-in library compiled from what TensorRT's interface of creators is, without its headers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

SOURCE = """
#include <cstdint>
struct InterfaceInfo { char const* kind; int32_t major; int32_t minor; };
struct Fields { int32_t count; void const* fields; };
struct Versioned {  // nvinfer1::IVersionedInterface
    virtual int32_t getAPILanguage() const noexcept { return 0; }
    virtual InterfaceInfo getInterfaceInfo() const noexcept = 0;
    virtual ~Versioned() noexcept = default;
};
struct Creator : Versioned {  // nvinfer1::IPluginCreatorV3One
    Fields fields{0, nullptr};
    InterfaceInfo getInterfaceInfo() const noexcept override { return {"PLUGIN CREATOR_V3ONE", 1, 0}; }
    virtual void* createPlugin(char const*, Fields const*, int32_t) noexcept { return nullptr; }
    virtual Fields const* getFieldNames() noexcept { return &fields; }
    virtual char const* getPluginName() const noexcept { return "NAME"; }
    virtual char const* getPluginVersion() const noexcept { return "1"; }
    virtual char const* getPluginNamespace() const noexcept { return ""; }
};
#define SEEN extern "C" __attribute__((visibility("default")))
SEEN Creator* const* getCreators(int32_t& count) {
    static Creator one;
    static Creator* const all[] = {&one};
    count = 1;
    return all;
}
SEEN void setLoggerFinder(void*) {}
BEFORE
"""


def compiled(folder: Path, name: str, before: str = "") -> Path | None:
    """A library whose creator makes no plug-in called `name`; None without a C++ compiler. `before` is more code."""
    compiler = shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        return None
    source, library = folder / f"{name}.cpp", folder / f"lib{name}.so"
    source.write_text(SOURCE.replace("NAME", name).replace("BEFORE", before))
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    return library
