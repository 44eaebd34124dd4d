namespace Moe.Plugins.Cli.Tests;

/// <summary>Computes what is right.</summary>
public sealed class RightPlugin : IMoePlugin
{
    public IMoeBackend CreateBackend(IMoePluginContext context) => new FakeBackend();
}

/// <summary>Is off by a twentieth in one token of each batch, the last.</summary>
public sealed class WrongPlugin : IMoePlugin
{
    public IMoeBackend CreateBackend(IMoePluginContext context) => new FakeBackend { LastTokenFactor = 1.05 };
}

/// <summary>Is right at first, and wrong when it is replayed.</summary>
public sealed class TiringPlugin : IMoePlugin
{
    public IMoeBackend CreateBackend(IMoePluginContext context) => new FakeBackend { LastTokenFactor = 1.05, FirstWrongReplay = 2 };
}

/// <summary>Sends every token to the first experts.</summary>
public sealed class MisroutingPlugin : IMoePlugin
{
    public IMoeBackend CreateBackend(IMoePluginContext context) => new FakeBackend { Misroutes = true };
}

/// <summary>Says that it has computed, and writes nothing; its weights are not quite those that are stored.</summary>
public sealed class IdlePlugin : IMoePlugin
{
    public IMoeBackend CreateBackend(IMoePluginContext context) => new FakeBackend { WritesNothing = true, RoundingError = 0.0625 };
}

/// <summary>Is on a device that its power supply holds back.</summary>
public sealed class BrakedPlugin : IMoePlugin
{
    public IMoeBackend CreateBackend(IMoePluginContext context) => new FakeBackend
    {
        Conditions = [new MoeDeviceCondition { Name = "braked device", Throttle = "PowerBrake", IsUnfitForMeasuring = true }],
    };
}

/// <summary>Is on a device that becomes too hot after the ceilings and a row.</summary>
public sealed class HotPlugin : IMoePlugin
{
    public IMoeBackend CreateBackend(IMoePluginContext context)
    {
        var cool = new MoeDeviceCondition { Name = "fake device" };
        return new FakeBackend { Conditions = [cool, cool, cool, cool with { Throttle = "HardwareThermal", IsUnfitForMeasuring = true }] };
    }
}

/// <summary>Is made for BF16 weights.</summary>
public sealed class WidePlugin : IMoePlugin
{
    public IMoeBackend CreateBackend(IMoePluginContext context) =>
        new FakeBackend { Score = format => format == MoeWeightFormat.BFloat16 ? 2 : 1 };
}

/// <summary>Has no memory for weights.</summary>
public sealed class FullPlugin : IMoePlugin
{
    public IMoeBackend CreateBackend(IMoePluginContext context) => new FakeBackend { IsFull = true };
}

/// <summary>Is on a GPU.</summary>
public sealed class GraphicsPlugin : IMoePlugin
{
    public IMoeBackend CreateBackend(IMoePluginContext context) => new FakeBackend { Device = MoeDevice.Cuda(0), Score = _ => 200 };
}

/// <summary>Is on a device that loses a tenth of its rate over time.</summary>
public sealed class FadingPlugin : IMoePlugin
{
    public IMoeBackend CreateBackend(IMoePluginContext context) => new FakeBackend { RateLeft = 0.9 };
}

/// <summary>Pads, but takes and writes unpadded rows.</summary>
public sealed class PaddingPlugin : IMoePlugin
{
    public IMoeBackend CreateBackend(IMoePluginContext context) => new FakeBackend { Alignment = 128 };
}

/// <summary>The same, with another result where the host pads.</summary>
public sealed class MindingPlugin : IMoePlugin
{
    public IMoeBackend CreateBackend(IMoePluginContext context) => new FakeBackend { Alignment = 128, MindsPadding = true };
}

/// <summary>Pads, and is off by a twentieth.</summary>
public sealed class WrongPaddingPlugin : IMoePlugin
{
    public IMoeBackend CreateBackend(IMoePluginContext context) => new FakeBackend { Alignment = 128, LastTokenFactor = 1.2 };
}
