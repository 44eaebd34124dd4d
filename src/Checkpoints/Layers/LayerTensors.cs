namespace Moe.Plugins.Checkpoints;

/// <summary>The tensors of one layer, and which of them were read: what nobody read is not forgotten without a word.</summary>
/// <param name="tensors">The checkpoint's.</param>
/// <param name="name">The layer's name, which its tensors' names begin with.</param>
/// <param name="family">What the model is, for messages.</param>
/// <param name="names">All names that begin so.</param>
internal sealed class LayerTensors(CheckpointTensors tensors, string name, string family, IReadOnlyList<string> names)
{
    private readonly HashSet<string> _found = new(StringComparer.Ordinal);
    private readonly Dictionary<string, MoeStoredTensor> _read = new(StringComparer.Ordinal);

    /// <summary>Bytes of all that was read.</summary>
    public long ByteCount => _read.Values.Sum(tensor => tensor.ByteCount);

    /// <summary>Whether there is a tensor of that whole name.</summary>
    public bool Has(string tensor) => tensors.TryGet(tensor, out _, out _);

    /// <summary>A tensor by its whole name, which from now on counts as read; null where there is none.</summary>
    public SafetensorsTensor? Find(string tensor)
    {
        if (!tensors.TryGet(tensor, out _, out SafetensorsTensor? found))
        {
            return null;
        }

        _found.Add(found.Name);
        return found;
    }

    /// <summary>Prepares to read a tensor.</summary>
    /// <exception cref="MoeException">It is of a type or size that the contract has not.</exception>
    public MoeStoredTensor Read(SafetensorsTensor tensor)
    {
        if (!_read.TryGetValue(tensor.Name, out MoeStoredTensor? read))
        {
            tensors.TryGet(tensor.Name, out SafetensorsFile? file, out _);
            _read.Add(tensor.Name, read = file!.GetTensor(tensor));
        }

        return read;
    }

    /// <summary>A tensor of numbers, or null where there is none.</summary>
    /// <exception cref="MoeException">It is of another type or size.</exception>
    public MoeStoredTensor? Numbers(string tensor, int rows, int columns)
    {
        if (Find(tensor) is not SafetensorsTensor found)
        {
            return null;
        }

        bool isNumbers = found.Type is SafetensorsType.BF16 or SafetensorsType.F16 or SafetensorsType.F32;
        MoeStoredTensor? read = isNumbers ? Read(found) : null;
        return read is { Planes: 1 } && read.Rows == rows && read.Columns == columns
            ? read
            : throw Error($"'{PlainText.Of(tensor)}' is {found}; BF16, F16 or F32 {(rows == 1 ? $"[{columns}]" : $"[{rows}, {columns}]")} is expected");
    }

    /// <summary>The first tensor whose name begins so; null where none does.</summary>
    public string? First(string start) => names.FirstOrDefault(name => name.StartsWith(start + ".", StringComparison.Ordinal) || name == start);

    /// <summary>Names of this layer's tensors that nobody asked for.</summary>
    public IReadOnlyList<string> Unread(Func<string, bool> isKnown) =>
    [
        .. names.Where(tensor => !_found.Contains(tensor) && !WeightNames.IsUnneeded(tensor) && !isKnown(tensor[(name.Length + 1)..])),
    ];

    /// <summary>Says what is wrong with the layer.</summary>
    public MoeException Error(string what) => new(MoeReason.Checkpoint, $"Layer '{PlainText.Of(name)}' of {family} cannot be read: {what}.");
}
