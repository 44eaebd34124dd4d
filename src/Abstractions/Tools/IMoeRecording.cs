namespace Moe.Plugins;

/// <summary>Recorded work that can be replayed and timed.</summary>
public interface IMoeRecording : IDisposable
{
    /// <summary>Kernels in the recording; 0 where the device has none.</summary>
    int KernelCount { get; }

    /// <summary>Replays the work once and waits for it.</summary>
    /// <returns>Microseconds by the device's own clock, where it has one.</returns>
    double Replay();
}
