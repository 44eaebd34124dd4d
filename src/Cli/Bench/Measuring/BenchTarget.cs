namespace Moe.Plugins.Cli;

/// <summary>A backend to measure on a shape.</summary>
/// <param name="Backend">Its id.</param>
/// <param name="Shape">The layer, in the format that the backend is given.</param>
/// <param name="Device">Where it runs.</param>
/// <param name="Instruments">What measures there.</param>
internal sealed record BenchTarget(string Backend, MoeLayerShape Shape, MoeDevice Device, IMoeInstrumentedBackend Instruments);
