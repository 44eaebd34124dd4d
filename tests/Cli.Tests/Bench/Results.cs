namespace Moe.Plugins.Cli.Tests;

/// <summary>Results as a benchmark would write them.</summary>
internal static class Results
{
    public static BenchResult Of(params BenchRow[] rows) => new()
    {
        Date = "2026-11-23T10:00:00Z",
        Device = "NVIDIA H100 80GB HBM3",
        Driver = "580.1",
        CopyGbps = 3000,
        ReadGbps = 3100,
        MatrixTflops = 790,
        MatrixSource = "a test",
        FloorBandwidth = "copy",
        Routing = "uniform",
        Seed = 1,
        Version = "0.1.0",
        Rows = [.. rows],
    };

    public static BenchRow Row(int tokens, double microseconds, double spread = 1, string backend = "Fast", string shape = "gpt-oss-20b", string weights = "mxfp4") => new()
    {
        Backend = backend,
        Shape = shape,
        Weights = weights,
        Tokens = tokens,
        Microseconds = microseconds,
        Spread = spread,
        FloorMicroseconds = microseconds / 2,
        RatioToFloor = 2,
        Gbps = 100,
        Tflops = 10,
        Kernels = 4,
        WeightBytes = 1,
        WorkspaceBytes = 1,
        RelativeError = 1e-3,
        RelativeErrorLimit = 4e-3,
        Right = true,
        DistinctExperts = 4,
    };

    public static BenchRow Wrong(this BenchRow row) => row with { Right = false, Microseconds = null, Spread = null, RatioToFloor = null };
}
