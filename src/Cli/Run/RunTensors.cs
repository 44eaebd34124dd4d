using System.Diagnostics.CodeAnalysis;
using Moe.Plugins.Checkpoints;

namespace Moe.Plugins.Cli;

/// <summary>What a file has to run through a layer, and to hold the result against.</summary>
internal sealed class RunTensors
{
    private const string InputTensor = "input";
    private const string ExpectedTensor = "expected.output";
    private const string TokenIdTensor = "token_ids";

    private readonly string _path;
    private readonly Checkpoint? _checkpoint;
    private readonly SafetensorsFile? _file;
    private readonly List<IDisposable> _owned;

    private RunTensors(string path, Checkpoint? checkpoint, SafetensorsFile? file, List<IDisposable> owned)
    {
        _path = path;
        _checkpoint = checkpoint;
        _file = file;
        _owned = owned;
    }

    /// <summary>Takes tensors from a checkpoint, or opens a file for them.</summary>
    /// <param name="path">The checkpoint or file, for messages.</param>
    /// <param name="checkpoint">Null for a file.</param>
    /// <param name="owned">Gets what is to be disposed.</param>
    /// <exception cref="MoeException">The file cannot be read.</exception>
    public static RunTensors Open(string path, Checkpoint? checkpoint, List<IDisposable> owned)
    {
        SafetensorsFile? file = checkpoint is null ? SafetensorsFile.Open(path) : null;
        if (file is not null)
        {
            owned.Add(file);
        }

        return new RunTensors(path, checkpoint, file, owned);
    }

    /// <summary>The first tokens; null where there are none and none are required.</summary>
    /// <exception cref="MoeException">There are none, fewer, or of another size or type.</exception>
    public MoeTensorView? Tokens(int hiddenSize, int? count, bool isRequired)
    {
        if (!TryFind(InputTensor, out MoeStoredTensor? input))
        {
            return isRequired ? throw new MoeException(MoeReason.Checkpoint, $"--input: '{_path}' has no tensor '{InputTensor}'.") : null;
        }

        Require(InputTensor, input, IsNumbers(input) && input.Planes == 1 && input.Columns == hiddenSize, $"BFloat16 or Float32 [tokens, {hiddenSize}]");
        return count > input.Rows
            ? throw new MoeException(
                MoeReason.Configuration,
                $"--tokens is {count}; '{_path}' has an input of {HumanText.Count(input.Rows, "token")}, and at most so many are expected.")
            : Read(input).FirstRows(count ?? input.Rows);
    }

    /// <summary>What is right for those tokens; empty where the file does not say.</summary>
    /// <exception cref="MoeException">It is of another size or type than the input.</exception>
    public MoeTensorView Expected(MoeTensorView input)
    {
        if (!TryFind(ExpectedTensor, out MoeStoredTensor? expected))
        {
            return default;
        }

        bool fits = IsNumbers(expected) && expected.Planes == 1 && expected.Rows >= input.Rows && expected.Columns == input.Columns;
        Require(ExpectedTensor, expected, fits, "BFloat16 or Float32 of the input's size");
        return Read(expected).FirstRows(input.Rows);
    }

    /// <summary>Ids of the tokens in the vocabulary; random ones where the file has none.</summary>
    /// <exception cref="MoeException">They are of another size or type.</exception>
    public MoeTensorView TokenIds(int tokens, int vocabularySize, int seed)
    {
        if (TryFind(TokenIdTensor, out MoeStoredTensor? stored))
        {
            bool fits = stored.ElementType == MoeElementType.Int32 && (long)stored.Planes * stored.Rows * stored.Columns >= tokens;
            Require(TokenIdTensor, stored, fits, $"Int32 [{tokens}]");
            return new MoeTensorView(Read(stored).Address, MoeDevice.Cpu, MoeElementType.Int32, tokens, 1);
        }

        var random = new Random(seed);
        MoeBuffer ids = MoeBuffer.OnHost(MoeElementType.Int32, tokens, 1);
        _owned.Add(ids);
        ids.CopyFrom([.. Enumerable.Range(0, tokens).Select(_ => random.Next(vocabularySize))]);
        return ids.View;
    }

    private static bool IsNumbers(MoeStoredTensor tensor) => tensor.ElementType is MoeElementType.BFloat16 or MoeElementType.Float32;

    private void Require(string name, MoeStoredTensor tensor, bool condition, string expected)
    {
        if (!condition)
        {
            throw new MoeException(
                MoeReason.Checkpoint,
                $"Tensor '{name}' of '{_path}' is {tensor.ElementType} [{tensor.Rows}, {tensor.Columns}]; {expected} is expected.");
        }
    }

    private bool TryFind(string name, [NotNullWhen(true)] out MoeStoredTensor? tensor)
    {
        if (_checkpoint is not null)
        {
            return _checkpoint.TryGetTensor(name, out tensor);
        }

        bool isFound = _file!.TryGetTensor(name, out SafetensorsTensor? described);
        tensor = isFound ? _file.GetTensor(described!) : null;
        return isFound;
    }

    private MoeTensorView Read(MoeStoredTensor tensor)
    {
        MoeBuffer buffer = MoeBuffer.OnHost(tensor);
        _owned.Add(buffer);
        return buffer.View;
    }
}
