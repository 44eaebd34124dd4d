using System.CommandLine;

namespace Moe.Plugins.Cli;

/// <summary>`moe kernels`: compiles what backends compile at run time, ahead of it, and says what came of each kernel.</summary>
internal static class KernelsCommand
{
    private const string Description =
        "Compile the backends' kernels for some architectures and keep them for later starts: for containers, and to see registers and "
        + "spills. Needs the compiler (NVRTC), not the device.";

    private static readonly Option<string[]> Backends = new("--backend")
    {
        Description = "Id of a backend; may be given several times. Default: all that have kernels.",
        HelpName = "NAME",
    };

    private static readonly Option<string[]> Architectures = new("--arch")
    {
        Description = "Architectures such as sm_80,sm_90a. Default: those of the devices here.",
        HelpName = "LIST",
        CustomParser = result => [.. result.Tokens.SelectMany(token => token.Value.Split(',', StringSplitOptions.RemoveEmptyEntries))],
    };

    public static Command Create(CommandConsole console)
    {
        var command = new Command("kernels", Description) { Backends, Architectures, CommandOptions.Plugins, CommandOptions.Json };
        command.SetAction((result, cancellationToken) => ExecuteAsync(result, console, cancellationToken));
        return command;
    }

    private static async Task<int> ExecuteAsync(ParseResult result, CommandConsole console, CancellationToken cancellationToken)
    {
        await using MoeHost host = HostFactory.Create(result);
        var kernels = new List<CompiledKernel>();
        foreach ((string id, IMoeKernelCatalog catalog) in Catalogs(host, result.GetValue(Backends) ?? []))
        {
            foreach (string architecture in Targets(id, catalog, result.GetValue(Architectures) ?? []))
            {
                kernels.AddRange(catalog.Compile(architecture, cancellationToken).Select(report => new CompiledKernel(id, report)));
            }
        }

        if (result.GetValue(CommandOptions.Json))
        {
            JsonText.WriteArray(console.Json, kernels, static (writer, kernel) => kernel.WriteJson(writer));
        }
        else
        {
            CompiledKernel.WriteTable(console.Out, kernels);
        }

        return kernels.Exists(kernel => kernel.Report.Error is not null) ? ExitCode.Failed : ExitCode.Ok;
    }

    private static IEnumerable<(string Id, IMoeKernelCatalog Catalog)> Catalogs(MoeHost host, string[] names)
    {
        foreach (string id in names.Length > 0 ? names : host.Plugins.Select(plugin => plugin.Id))
        {
            if (host.FindBackend(id) is IMoeKernelCatalog catalog)
            {
                yield return (id, catalog);
            }
            else if (names.Length > 0)
            {
                string found = string.Join(", ", host.Plugins.Select(plugin => plugin.Id));
                throw new CommandException(ExitCode.NoBackend, $"--backend is '{id}', which is no backend with kernels to compile. Found: {found}.");
            }
        }
    }

    private static IReadOnlyList<string> Targets(string id, IMoeKernelCatalog catalog, string[] asked)
    {
        IReadOnlyList<string> targets = asked.Length > 0 ? asked : catalog.LocalArchitectures;
        return targets.Count > 0
            ? targets
            : throw new CommandException(ExitCode.BadInput, $"there is no device here for {id}; --arch sm_90a (or another) says what to compile for.");
    }
}
