namespace Moe.Plugins.Cuda;

/// <summary>What holds a device's clocks down: bits of <c>nvmlClocksThrottleReasons</c> (NVML API reference).</summary>
[Flags]
public enum CudaClockLimits : ulong
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>Nothing runs on it.</summary>
    Idle = 0x1,

    /// <summary>Its clocks were set by somebody.</summary>
    ApplicationClocks = 0x2,

    /// <summary>The ordinary power cap, which long matrix products reach.</summary>
    PowerCap = 0x4,

    /// <summary>Hardware slowdown: power brake or temperature, at half speed or less.</summary>
    HardwareSlowdown = 0x8,

    /// <summary>It follows other devices of its group.</summary>
    SyncBoost = 0x10,

    /// <summary>Too hot, by the driver's measure.</summary>
    SoftwareThermal = 0x20,

    /// <summary>Too hot, by the hardware's measure.</summary>
    HardwareThermal = 0x40,

    /// <summary>The machine's power supply asked for a brake.</summary>
    PowerBrake = 0x80,
}
