"""The C++ plug-in and its CMake file: a shared library that registers itself when loaded."""

from __future__ import annotations

import math

from friction_tui.rewrites.plugin_facts import Field, PluginFacts, Size

_C_TYPES = {"INT32": "int32_t", "FLOAT32": "float", "CHAR": "char"}


def cpp_text(facts: PluginFacts) -> str:
    """The file `plugin.cpp`. What it computes is the user's to write, in `enqueue`."""
    members = "\n".join(
        f"    std::vector<{_C_TYPES[one.kind]}> field_{i}{{{_values(one)}}}; // {_comment(one.name)}"
        for i, one in enumerate(facts.fields)
    )
    read = "\n".join(
        f"            if (std::strcmp(field.name, {_string(one.name)}) == 0)\n            {{\n"
        f"                auto const* data = static_cast<{_C_TYPES[one.kind]} const*>(field.data);\n"
        f"                attributes.field_{i}.assign(data, data + field.length);\n            }}"
        for i, one in enumerate(facts.fields)
    )
    stored = "\n".join(
        f"        mFields.emplace_back({_string(one.name)}, mAttributes.field_{i}.data(),\n"
        f"            PluginFieldType::k{one.kind}, static_cast<int32_t>(mAttributes.field_{i}.size()));"
        for i, one in enumerate(facts.fields)
    )
    advertised = "\n".join(
        f"        mFields.emplace_back({_string(one.name)}, nullptr, PluginFieldType::k{one.kind}, 1);"
        for one in facts.fields
    )
    types = ", ".join(f"DataType::k{one.dtype}" for one in (*facts.inputs, *facts.outputs))
    shapes = "\n".join(
        line
        for number, one in enumerate(facts.outputs)
        for line in (
            f"        outputs[{number}].nbDims = {len(one.sizes)};",
            *(f"        outputs[{number}].d[{axis}] = {_size(size)};" for axis, size in enumerate(one.sizes)),
        )
    )
    listed = "\n".join(
        f"//   {what} {number}: {_comment(one.name)}, {one.dtype}, {one.shape}"
        for what, tensors in (("input", facts.inputs), ("output", facts.outputs))
        for number, one in enumerate(tensors)
    )
    outputs_from = len(facts.inputs)
    return f"""// {facts.name}: a TensorRT plug-in for {_comment(facts.op)} {_comment(facts.node)}.
{listed}
// Load the library before the model is parsed: it registers itself. Write what it computes in `enqueue`.

#include <NvInfer.h>
#include <NvInferPlugin.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

using namespace nvinfer1;

namespace
{{
constexpr char const* kNAME = "{facts.name}";
constexpr char const* kVERSION = "1";
constexpr char const* kNAMESPACE = "";
constexpr int32_t kINPUTS = {outputs_from};
constexpr int32_t kOUTPUTS = {len(facts.outputs)};
constexpr std::array<DataType, {outputs_from + len(facts.outputs)}> kTYPES{{{types}}}; // inputs, then outputs

// A node's attributes, with the values of the node this was written for.
struct Attributes
{{
{members}
}};

class {facts.name} : public IPluginV3, public IPluginV3OneCore, public IPluginV3OneBuild, public IPluginV3OneRuntime
{{
public:
    explicit {facts.name}(Attributes attributes)
        : mAttributes(std::move(attributes))
    {{
    }}

    IPluginCapability* getCapabilityInterface(PluginCapabilityType type) noexcept override
    {{
        if (type == PluginCapabilityType::kBUILD)
        {{
            return static_cast<IPluginV3OneBuild*>(this);
        }}
        if (type == PluginCapabilityType::kRUNTIME)
        {{
            return static_cast<IPluginV3OneRuntime*>(this);
        }}
        return static_cast<IPluginV3OneCore*>(this);
    }}

    IPluginV3* clone() noexcept override
    {{
        return new {facts.name}(mAttributes);
    }}

    AsciiChar const* getPluginName() const noexcept override
    {{
        return kNAME;
    }}

    AsciiChar const* getPluginVersion() const noexcept override
    {{
        return kVERSION;
    }}

    AsciiChar const* getPluginNamespace() const noexcept override
    {{
        return kNAMESPACE;
    }}

    int32_t getNbOutputs() const noexcept override
    {{
        return kOUTPUTS;
    }}

    int32_t getOutputDataTypes(
        DataType* outputTypes, int32_t nbOutputs, DataType const* inputTypes, int32_t nbInputs) const noexcept override
    {{
        for (int32_t i = 0; i < nbOutputs; ++i)
        {{
            outputTypes[i] = kTYPES[kINPUTS + i];
        }}
        return 0;
    }}

    int32_t getOutputShapes(DimsExprs const* inputs, int32_t nbInputs, DimsExprs const* shapeInputs,
        int32_t nbShapeInputs, DimsExprs* outputs, int32_t nbOutputs, IExprBuilder& builder) noexcept override
    {{
{shapes}
        return 0;
    }}

    bool supportsFormatCombination(
        int32_t pos, DynamicPluginTensorDesc const* inOut, int32_t nbInputs, int32_t nbOutputs) noexcept override
    {{
        return inOut[pos].desc.format == TensorFormat::kLINEAR && inOut[pos].desc.type == kTYPES[pos];
    }}

    int32_t configurePlugin(DynamicPluginTensorDesc const* in, int32_t nbInputs, DynamicPluginTensorDesc const* out,
        int32_t nbOutputs) noexcept override
    {{
        return 0;
    }}

    // Bytes of GPU memory that `enqueue` needs besides its tensors.
    size_t getWorkspaceSize(DynamicPluginTensorDesc const* inputs, int32_t nbInputs,
        DynamicPluginTensorDesc const* outputs, int32_t nbOutputs) const noexcept override
    {{
        return 0;
    }}

    int32_t onShapeChange(
        PluginTensorDesc const* in, int32_t nbInputs, PluginTensorDesc const* out, int32_t nbOutputs) noexcept override
    {{
        return 0;
    }}

    IPluginV3* attachToContext(IPluginResourceContext* context) noexcept override
    {{
        return clone();
    }}

    PluginFieldCollection const* getFieldsToSerialize() noexcept override
    {{
        mFields.clear();
{stored}
        mCollection.nbFields = static_cast<int32_t>(mFields.size());
        mCollection.fields = mFields.data();
        return &mCollection;
    }}

    // Launch the kernels that compute `outputs` from `inputs`, all of them addresses of GPU memory, on `stream`.
    // Anything but 0 is a failure: nothing is computed yet.
    int32_t enqueue(PluginTensorDesc const* inputDesc, PluginTensorDesc const* outputDesc, void const* const* inputs,
        void* const* outputs, void* workspace, cudaStream_t stream) noexcept override
    {{
        return 1;
    }}

private:
    Attributes mAttributes;
    std::vector<PluginField> mFields;
    PluginFieldCollection mCollection{{}};
}};

class {facts.name}Creator : public IPluginCreatorV3One
{{
public:
    {facts.name}Creator()
    {{
{advertised}
        mCollection.nbFields = static_cast<int32_t>(mFields.size());
        mCollection.fields = mFields.data();
    }}

    // From a node's attributes or from an engine; one that is not given has the value it was written with.
    IPluginV3* createPlugin(
        AsciiChar const* name, PluginFieldCollection const* given, TensorRTPhase phase) noexcept override
    {{
        Attributes attributes;
        for (int32_t i = 0; i < given->nbFields; ++i)
        {{
            PluginField const& field = given->fields[i];
            static_cast<void>(field);
{read}
        }}
        return new {facts.name}(std::move(attributes));
    }}

    PluginFieldCollection const* getFieldNames() noexcept override
    {{
        return &mCollection;
    }}

    AsciiChar const* getPluginName() const noexcept override
    {{
        return kNAME;
    }}

    AsciiChar const* getPluginVersion() const noexcept override
    {{
        return kVERSION;
    }}

    AsciiChar const* getPluginNamespace() const noexcept override
    {{
        return kNAMESPACE;
    }}

private:
    std::vector<PluginField> mFields;
    PluginFieldCollection mCollection{{}};
}};
}} // namespace

REGISTER_TENSORRT_PLUGIN({facts.name}Creator);
"""


def cmake_text(facts: PluginFacts) -> str:
    """The file `CMakeLists.txt`; TensorRT's folder is given as TENSORRT_ROOT."""
    return f"""cmake_minimum_required(VERSION 3.18)
project({facts.name} LANGUAGES CXX)

# cmake -S . -B build -DTENSORRT_ROOT=/path/to/TensorRT && cmake --build build
set(TENSORRT_ROOT "" CACHE PATH "TensorRT or TensorRT-RTX as unpacked: its include and lib folders")

find_package(CUDAToolkit REQUIRED)
find_path(TENSORRT_INCLUDE NvInfer.h HINTS ${{TENSORRT_ROOT}} PATH_SUFFIXES include REQUIRED)
find_library(TENSORRT_LIBRARY NAMES nvinfer tensorrt_rtx HINTS ${{TENSORRT_ROOT}} PATH_SUFFIXES lib lib64 REQUIRED)

add_library({facts.name} SHARED plugin.cpp)
target_compile_features({facts.name} PRIVATE cxx_std_17)
target_include_directories({facts.name} PRIVATE ${{TENSORRT_INCLUDE}})
target_link_libraries({facts.name} PRIVATE ${{TENSORRT_LIBRARY}} CUDA::cudart)
"""


def _size(size: Size) -> str:
    if size.axis is not None:
        return f"inputs[{size.axis[0]}].d[{size.axis[1]}]"
    if size.constant is not None:
        return f"builder.constant({size.constant})"
    return "builder.constant(1) /* not known from the model */"


def _values(field: Field) -> str:
    if isinstance(field.values, str):
        return ", ".join(str(byte if byte < 128 else byte - 256) for byte in field.values.encode())
    if field.kind == "FLOAT32":
        texts = (f"{one!r}F" if math.isfinite(one) else _infinite(one) for one in field.values)
        return ", ".join(texts)
    return ", ".join(map(str, field.values))


def _infinite(value: float) -> str:
    return '__builtin_nanf("")' if math.isnan(value) else "-__builtin_inff()" if value < 0 else "__builtin_inff()"


def _string(text: str) -> str:
    """A C++ string literal."""
    plain = (chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?' else f"\\{byte:03o}" for byte in text.encode())
    return f'"{"".join(plain)}"'


def _comment(text: str) -> str:
    """A name of the model for a line comment, which a backslash at its end would go on."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text).replace("\\", "/")
