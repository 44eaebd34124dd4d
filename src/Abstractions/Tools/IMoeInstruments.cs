namespace Moe.Plugins;

/// <summary>What it takes to measure a layer on a device: its condition, its ceilings and a clock that runs on it.</summary>
public interface IMoeInstruments : IDisposable
{
    /// <summary>Reads the device's name, driver and whether something holds it back right now.</summary>
    MoeDeviceCondition ReadCondition();

    /// <summary>Measures what the device can do at best. Takes seconds and some gigabytes.</summary>
    MoeCeilings MeasureCeilings(CancellationToken cancellationToken = default);

    /// <summary>
    /// Records what <paramref name="enqueue"/> enqueues on the stream it is handed, to be replayed: as a graph where the device has
    /// graphs, else as the delegate itself.
    /// </summary>
    IMoeRecording Record(Action<nint> enqueue);
}
