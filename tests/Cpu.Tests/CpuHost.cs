namespace Moe.Plugins.Cpu.Tests;

/// <summary>The host with the Cpu backend from the folder beside the tests, as any program has it.</summary>
internal static class CpuHost
{
    private const string Backend = "Cpu";

    /// <summary>One for all tests that have no settings of their own.</summary>
    public static MoeHost Shared { get; } = Create();

    public static MoeHost Create(string? threads = null, string? nodes = null)
    {
        var options = new MoeOptions { Backend = Backend };
        var settings = new Dictionary<string, string>();
        options.Plugins[Backend] = settings;
        if (threads is not null)
        {
            settings["Threads"] = threads;
        }

        if (nodes is not null)
        {
            settings["Nodes"] = nodes;
        }

        return MoeHost.Create(options);
    }

    public static MoeCandidate Explain(MoeHost host, MoeDevice? device = null) => host
        .Explain(new MoeLayerRequest { Shape = MoeLayerShape.GptOss20B, Device = device })
        .Candidates.Single(candidate => candidate.Id == Backend);
}
