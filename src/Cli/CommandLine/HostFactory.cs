using System.CommandLine;
using Microsoft.Extensions.Configuration;

namespace Moe.Plugins.Cli;

/// <summary>Makes the host that a command line and the environment describe.</summary>
internal static class HostFactory
{
    /// <exception cref="CommandException">A plugin folder that was named is not there.</exception>
    public static MoeHost Create(ParseResult result)
    {
        IConfiguration environment = new ConfigurationBuilder().AddEnvironmentVariables().Build();
        var options = new MoeOptions();
        return MoeHost.Create(options);
    }

    /// <summary>Asks which backend runs a layer.</summary>
    /// <exception cref="CommandException">None does.</exception>
    public static MoeSelectionReport Select(MoeHost host, MoeLayerRequest request)
    {
        MoeSelectionReport report = host.Explain(request);
        return report.Selected is null ? throw new CommandException(ExitCode.NoBackend, report.Sentence) : report;
    }
}
