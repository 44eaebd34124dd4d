namespace Moe.Plugins;

/// <summary>Why something is refused or failed: a small closed list, so that programs can act on it. A sentence goes with each use.</summary>
public enum MoeReason
{
    /// <summary>Nothing is wrong.</summary>
    None = 0,

    /// <summary>No device of the kind that the backend needs, or not the one that was asked for.</summary>
    NoDevice,

    /// <summary>The device lacks an instruction or feature that the backend needs.</summary>
    DeviceUnsupported,

    /// <summary>The device's driver is too old.</summary>
    DriverTooOld,

    /// <summary>A native library that the backend needs is not on the machine.</summary>
    MissingLibrary,

    /// <summary>A managed assembly that the plugin needs is not in its folder.</summary>
    MissingDependency,

    /// <summary>The backend has no kernels for this weight format, or for these input and output element types.</summary>
    Format,

    /// <summary>The backend cannot run a layer of this shape.</summary>
    Shape,

    /// <summary>Not enough memory.</summary>
    OutOfMemory,

    /// <summary>The plugin was built for a contract that this host does not have.</summary>
    ContractVersion,

    /// <summary>The plugin needs a newer .NET runtime.</summary>
    RuntimeVersion,

    /// <summary>The file is no plugin: no managed assembly, or none that declares itself with <see cref="MoePluginAttribute"/>.</summary>
    NotAPlugin,

    /// <summary>Another plugin that comes first has the same id.</summary>
    DuplicateId,

    /// <summary>A file or folder is not there or cannot be read.</summary>
    NotFound,

    /// <summary>The host's trust rules refuse the plugin.</summary>
    Trust,

    /// <summary>An option is missing or wrong.</summary>
    Configuration,

    /// <summary>A checkpoint is malformed or not what the layer needs.</summary>
    Checkpoint,

    /// <summary>The plugin's code threw an exception.</summary>
    Threw,

    /// <summary>The plugin's code did not return in time.</summary>
    TimedOut,

    /// <summary>The plugin broke the contract: a rounding rule that is not one, a null where none may be.</summary>
    ContractBroken,

    /// <summary>The device failed while it was working.</summary>
    DeviceFailed,

    /// <summary>
    /// The device's context is lost: every later call on it fails, and so does every layer on the device. Only a new process recovers it.
    /// </summary>
    ContextLost,

    /// <summary>The plugin's code ended the process that it ran in.</summary>
    Crashed,

    /// <summary>Devices of a group do not reach each other's memory, whatever their driver says.</summary>
    NoPeerAccess,

    /// <summary>A rank of the group failed, or ended it.</summary>
    PeerFailed,
}
