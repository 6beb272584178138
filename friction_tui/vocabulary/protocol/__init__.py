"""Every message between the terminal and the worker: newline-delimited JSON, decoded into these structs.

The terminal sends `Request`s, the worker sends `Event`s. A request that changes what is judged carries a
`revision`; every event about it carries the same one, so a late answer to an old edit is recognised and
dropped. This package knows the words and nothing else.
"""

from friction_tui.vocabulary.protocol.differences import ModelDifference as ModelDifference
from friction_tui.vocabulary.protocol.events import (
    CheckState as CheckState,
    ConsentNeeded as ConsentNeeded,
    Detail as Detail,
    EngineInfo as EngineInfo,
    Event as Event,
    Exported as Exported,
    Findings as Findings,
    Forecasted as Forecasted,
    GpuSamples as GpuSamples,
    GraphReady as GraphReady,
    Hello as Hello,
    JobEnded as JobEnded,
    JobProgress as JobProgress,
    Judged as Judged,
    LostStep as LostStep,
    NetronStarted as NetronStarted,
    Opened as Opened,
    OpsetPlanned as OpsetPlanned,
    OtherNode as OtherNode,
    OtherVerdict as OtherVerdict,
    OtherVerdicts as OtherVerdicts,
    Previewed as Previewed,
    Refused as Refused,
    RowLabels as RowLabels,
    Saved as Saved,
    SourceChanged as SourceChanged,
    SourceText as SourceText,
    Stats as Stats,
    StepsLost as StepsLost,
    Verified as Verified,
    WorkerDied as WorkerDied,
)
from friction_tui.vocabulary.protocol.graph import (
    Body as Body,
    Dim as Dim,
    GraphData as GraphData,
    InitializerStats as InitializerStats,
    ModelSummary as ModelSummary,
    NodeDetail as NodeDetail,
    Port as Port,
    TensorDetail as TensorDetail,
)
from friction_tui.vocabulary.protocol.measurements import (
    BuildResult as BuildResult,
    CutParts as CutParts,
    GpuSample as GpuSample,
    KeptNode as KeptNode,
    Kernel as Kernel,
    Largest as Largest,
    LatencyResult as LatencyResult,
    LogLevel as LogLevel,
    LogLine as LogLine,
    MemoryForecast as MemoryForecast,
    Mended as Mended,
    MendStep as MendStep,
    OpsetPlan as OpsetPlan,
    Phase as Phase,
    PrecisionResult as PrecisionResult,
    Reduction as Reduction,
)
from friction_tui.vocabulary.protocol.requests import (
    EXPORT_JOB as EXPORT_JOB,
    LOOKS as LOOKS,
    Apply as Apply,
    AskOthers as AskOthers,
    CancelJob as CancelJob,
    EditStep as EditStep,
    Forecast as Forecast,
    Inspect as Inspect,
    JobKind as JobKind,
    JobRequest as JobRequest,
    Open as Open,
    Preview as Preview,
    ReadInitializer as ReadInitializer,
    ReadSource as ReadSource,
    Request as Request,
    SaveEngine as SaveEngine,
    SaveModel as SaveModel,
    SaveScript as SaveScript,
    StartJob as StartJob,
    StartNetron as StartNetron,
    WatchGpu as WatchGpu,
    WatchSource as WatchSource,
)
from friction_tui.vocabulary.protocol.sharing import (
    Asked as Asked,
    Ended as Ended,
    FromViewer as FromViewer,
    Join as Join,
    Present as Present,
    Snapshot as Snapshot,
    Synced as Synced,
    ToViewer as ToViewer,
    TurnedAway as TurnedAway,
    Viewer as Viewer,
)

PROTOCOL = 1
"""Counted up when a message changes so that an older reader would take it wrongly; a new field or message is none."""
