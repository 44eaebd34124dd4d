namespace Moe.Plugins;

/// <summary>A backend's answer: supported, on a device and with a score, or not, with a reason.</summary>
public sealed record MoeProbeResult
{
    private MoeProbeResult()
    {
    }

    /// <summary>Whether the backend can run the layer here.</summary>
    public bool IsSupported => Reason == MoeReason.None;

    /// <summary>The device that the layer would run on; meaningful where supported.</summary>
    public MoeDevice Device { get; private init; }

    /// <summary>The device's own name, for people.</summary>
    public string DeviceName { get; private init; } = "";

    /// <summary>
    /// How well the backend suits the layer on this device, for <c>auto</c> to compare; more is better. By convention: 0 to 99 CPU,
    /// 100 to 199 a GPU at some cost (weights widened, say), 200 to 299 a GPU with kernels made for the format, 300 and more with
    /// instructions made for it.
    /// </summary>
    public int Score { get; private init; }

    /// <summary>Why not, for programs; <see cref="MoeReason.None"/> where supported.</summary>
    public MoeReason Reason { get; private init; }

    /// <summary>For people: why not, or what is worth knowing where supported.</summary>
    public string Message { get; private init; } = "";

    /// <summary>The layer can run.</summary>
    /// <param name="device">On this device.</param>
    /// <param name="deviceName">The device's own name.</param>
    /// <param name="score">How well.</param>
    /// <param name="message">What is worth knowing: which kernels will run, what was never verified on such a device.</param>
    public static MoeProbeResult Supported(MoeDevice device, string deviceName, int score, string message = "")
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(deviceName);
        ArgumentNullException.ThrowIfNull(message);
        return new MoeProbeResult { Device = device, DeviceName = deviceName, Score = score, Message = message };
    }

    /// <summary>The layer cannot run.</summary>
    /// <param name="reason">Why, for programs; not <see cref="MoeReason.None"/>.</param>
    /// <param name="message">Why, for people: what was found, and what is needed.</param>
    /// <exception cref="ArgumentException">No reason is given.</exception>
    public static MoeProbeResult Unsupported(MoeReason reason, string message)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(message);
        if (reason == MoeReason.None)
        {
            throw new ArgumentException("A refusal needs a reason.", nameof(reason));
        }

        return new MoeProbeResult { Reason = reason, Message = message };
    }
}
