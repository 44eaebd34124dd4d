using System.CommandLine;
using Moe.Plugins.GptOss;

namespace Moe.Plugins.Cli;

/// <summary>`moe kernels`: compiles what backends and GPT-OSS compile at run time, ahead of it, and says what came of each kernel.</summary>
internal static class KernelsCommand
{
    private const string Description =
        "Compile the kernels of backends and of GPT-OSS ahead of their first start, keep them for later starts, and list their registers and spills. "
        + "It needs the compiler (NVRTC), but no device: use it to build containers.";

    /// <summary>What the kernels around a GPT-OSS model's expert layers go by here.</summary>
    private const string Model = "GptOss";

    private static readonly Option<string[]> Backends = new("--backend")
    {
        Description = $"Id of a backend, or {Model}; may be given several times. Default: all that have kernels.",
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
        var command = new Command("kernels", Description) { Backends, Architectures, CommandOptions.Plugins };
        command.SetComputation((result, cancellationToken) => ExecuteAsync(result, console, cancellationToken));
        return command;
    }

    private static async Task<int> ExecuteAsync(ParseResult result, CommandConsole console, CancellationToken cancellationToken)
    {
        await using MoeHost host = HostFactory.Create(result, console);
        (string Id, IMoeKernelCatalog Catalog, string Architecture)[] work =
        [
            .. from catalog in Catalogs(host, result.GetValue(Backends) ?? [])
               from architecture in Targets(catalog.Id, catalog.Catalog, result.GetValue(Architectures) ?? [])
               select (catalog.Id, catalog.Catalog, architecture),
        ];
        ProgressLine progress = console.BeginProgress();
        progress.Plan(work.Length);
        var kernels = new List<CompiledKernel>();
        foreach ((string id, IMoeKernelCatalog catalog, string architecture) in work)
        {
            progress.Begin($"{id}, {architecture}");
            kernels.AddRange(catalog.Compile(architecture, progress, cancellationToken).Select(report => new CompiledKernel(id, report)));
            progress.Step();
        }

        console.Write(
            writer =>
            {
                writer.WriteStartArray("kernels");
                kernels.ForEach(kernel => kernel.WriteJson(writer));
                writer.WriteEndArray();
            },
            text => CompiledKernel.WriteText(text, kernels));
        return kernels.Exists(kernel => kernel.Report.Error is not null) ? ExitCode.Failed : ExitCode.Ok;
    }

    private static IEnumerable<(string Id, IMoeKernelCatalog Catalog)> Catalogs(MoeHost host, string[] names)
    {
        foreach (string id in names.Length > 0 ? names : host.Plugins.Select(plugin => plugin.Id).Append(Model))
        {
            if (Find(host, id) is { } catalog)
            {
                yield return (id, catalog);
            }
            else if (names.Length > 0)
            {
                string[] found = [.. host.Plugins.Select(plugin => plugin.Id).Append(Model).Where(other => Find(host, other) is not null)];
                throw new CommandException(
                    ExitCode.NoBackend,
                    $"--backend is '{PlainText.Of(id)}', which is not a backend with kernels to compile.{DidYouMean.Ask(id, found)} Those that have some: {string.Join(", ", found)}.");
            }
        }
    }

    private static IMoeKernelCatalog? Find(MoeHost host, string id) => id == Model ? new GptOssKernelCatalog() : host.FindBackend(id) as IMoeKernelCatalog;

    private static IReadOnlyList<string> Targets(string id, IMoeKernelCatalog catalog, string[] asked)
    {
        IReadOnlyList<string> targets = asked.Length > 0 ? asked : catalog.LocalArchitectures;
        return targets.Count > 0
            ? targets
            : throw new CommandException(ExitCode.BadInput, $"There is no device here for {id}; --arch says what to compile for, such as --arch sm_90a.");
    }
}
