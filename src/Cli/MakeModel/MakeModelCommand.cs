using System.CommandLine;
using Moe.Plugins.GptOss;

namespace Moe.Plugins.Cli;

/// <summary>`moe make-model`: checkpoints for whoever has no weights.</summary>
internal static class MakeModelCommand
{
    private const string Description =
        "Write a checkpoint of GPT-OSS with random weights, named and sharded as the published ones: the same seed, the same bytes. `sample` is "
        + "the model that `moe generate` runs when it is told nothing else.";

    private const string Sample = "sample";

    private static readonly Argument<string> Folder = CommandOptions.RequiredText("FOLDER", "Folder to write, new or empty.");

    private static readonly Option<string> Size = new("--size")
    {
        Description = "gpt-oss-20b (13.8 GB), gpt-oss-120b (65.2 GB), tiny (2 MB, no tokenizer) or sample (1 MB, with a tokenizer of bytes).",
        HelpName = "SIZE",
        DefaultValueFactory = _ => "tiny",
    };

    private static readonly Option<int?> Layers = CommandOptions.WholeNumber("--layers", 1, "Layers; fewer than the published model has, to measure with. Default: all.");

    private static readonly Option<int?> StoredLayers = CommandOptions.WholeNumber(
        "--stored-layers", 1, "Layers with weights of their own, the first ones. The others load theirs again, in turns: a large model to measure with from a small folder. Default: all.");

    public static Command Create(CommandConsole console)
    {
        var command = new Command("make-model", Description) { Folder, Size, Layers, StoredLayers, CommandOptions.Seed };
        command.SetComputation((result, cancellationToken) => Task.FromResult(Execute(result, console, cancellationToken)));
        return command;
    }

    private static int Execute(ParseResult result, CommandConsole console, CancellationToken cancellationToken)
    {
        string folder = Path.GetFullPath(result.GetRequiredValue(Folder));
        if (File.Exists(folder))
        {
            throw new CommandException(ExitCode.BadInput, $"'{PlainText.Of(folder)}' is a file; a new or empty folder is expected.");
        }

        if (Directory.Exists(folder) && Directory.EnumerateFileSystemEntries(folder).Any())
        {
            throw new CommandException(ExitCode.BadInput, $"'{PlainText.Of(folder)}' is not empty; a new or empty folder is expected.");
        }

        string size = result.GetRequiredValue(Size);
        int seed = result.GetValue(CommandOptions.Seed) ?? 1;
        GptOssConfig config = ModelSizes.Find(size)
            ?? throw new CommandException(ExitCode.BadInput, CommandOptions.NoneOf("--size", size, "gpt-oss-20b", "gpt-oss-120b", "tiny", Sample));
        if (result.GetValue(Layers) is int layers)
        {
            config = config with { IsSliding = [.. Enumerable.Range(0, layers).Select(layer => layer % 2 == 0)] };
        }

        if (result.GetValue(StoredLayers) is int stored)
        {
            if (size == Sample || stored > config.LayerCount)
            {
                string why = size == Sample ? "the sample has weights for each of its layers" : $"the model has only {config.LayerCount} layers";
                throw new CommandException(ExitCode.BadInput, $"--stored-layers is '{stored}', but {why}.");
            }

            config = config with { StoredLayerCount = stored };
        }

        ModelTensor[] tensors = size == Sample ? SampleModel.Tensors(config, seed) : RandomModel.Tensors(config, seed);
        RequireSpace(folder, tensors.Sum(tensor => tensor.ByteCount));
        Directory.CreateDirectory(folder);
        ProgressLine progress = console.BeginProgress();
        progress.Begin("writing");
        ModelFolderWriter.Write(folder, config, tensors, progress, cancellationToken);
        if (size == Sample)
        {
            WholeFile.Write(Path.Combine(folder, "tokenizer.json"), SampleTokenizer.ToJson());
        }

        long bytes = tensors.Sum(tensor => tensor.ByteCount);
        console.Write(
            writer =>
            {
                writer.WriteString("folder", folder);
                writer.WriteNumber("layers", config.LayerCount);
                writer.WriteNumber("stored_layers", config.StoredLayerCount);
                writer.WriteNumber("bytes", bytes);
            },
            text => text.Say($"{folder} has {HumanText.Layers(config)}, {HumanText.Bytes(bytes)} of random weights."));
        return ExitCode.Ok;
    }

    private static void RequireSpace(string folder, long needed)
    {
        string root = folder;
        while (!Directory.Exists(root))
        {
            root = Path.GetDirectoryName(root)!;
        }

        long free = new DriveInfo(root).AvailableFreeSpace;
        if (free < needed)
        {
            throw new CommandException(ExitCode.BadInput, $"'{PlainText.Of(folder)}' would take {HumanText.Bytes(needed)}, and {HumanText.Bytes(free)} are free there.");
        }
    }
}
