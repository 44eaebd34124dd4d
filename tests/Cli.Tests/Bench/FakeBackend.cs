namespace Moe.Plugins.Cli.Tests;

/// <summary>A backend that lets the float64 oracle compute, and instruments whose answers a test knows.</summary>
internal sealed class FakeBackend : IMoeBackend, IMoeInstrumentedBackend
{
    public double LastTokenFactor { get; init; } = 1;

    /// <summary>From this replay on the last token is off, not before.</summary>
    public int FirstWrongReplay { get; init; }

    /// <summary>The replay that runs.</summary>
    public int Replay { get; set; }

    public bool WritesNothing { get; init; }

    public bool Misroutes { get; init; }

    /// <summary>The device that it says it has; its memory is the process's all the same.</summary>
    public MoeDevice Device { get; init; } = MoeDevice.Cpu;

    public bool IsFull { get; init; }

    /// <summary>By how much its weights differ from those that are stored.</summary>
    public double RoundingError { get; init; }

    /// <summary>What it rounds the hidden size to; above 1 it takes and writes unpadded rows all the same.</summary>
    public int Alignment { get; init; } = 1;

    /// <summary>Rows of another width than the model's give another result.</summary>
    public bool MindsPadding { get; init; }

    /// <summary>Copies of rows so far.</summary>
    public int Copies { get; set; }

    public Func<MoeWeightFormat, int> Score { get; init; } = _ => 1;

    /// <summary>The device's condition each time that it is asked; the last one stays.</summary>
    public IReadOnlyList<MoeDeviceCondition> Conditions { get; init; } = [new() { Name = "fake device", Driver = "1.2" }];

    /// <summary>Share of its matrix rate that is left each time that the ceilings are measured.</summary>
    public double RateLeft { get; init; } = 1;

    private double _rate = 1;
    private int _asked;

    public MoeProbeResult Probe(MoeProbeRequest request) =>
        MoeProbeResult.Supported(Device, "fake device", Score(request.Shape.WeightFormat));

    public IMoeQuantMethod CreateQuantMethod(MoeProbeRequest request) => new FakeMethod(this);

    public IMoeInstruments CreateInstruments(MoeDevice device) => new FakeInstruments(this);

    public ValueTask DisposeAsync() => default;

    public double NextRate()
    {
        double rate = _rate;
        _rate *= RateLeft;
        return rate;
    }

    public MoeDeviceCondition Condition() => Conditions[Math.Min(_asked++, Conditions.Count - 1)];
}
