using Moe.Plugins.Checkpoints;

namespace Moe.Plugins.Cli;

/// <summary>Experts that real tokens went to: tensor <c>topk_ids</c> of a safetensors file, as `moe run --output` writes it.</summary>
internal sealed class RoutingTrace
{
    private const string Tensor = "topk_ids";

    private readonly int[] _ids;
    private readonly int _topK;
    private readonly string _path;

    private RoutingTrace(string path, int[] ids, int topK)
    {
        _path = path;
        _ids = ids;
        _topK = topK;
    }

    /// <summary>Reads a file.</summary>
    /// <exception cref="MoeException">It is not there, or has no such tensor.</exception>
    public static RoutingTrace Load(string path)
    {
        using var file = SafetensorsFile.Open(path);
        if (!file.TryGetTensor(Tensor, out SafetensorsTensor? tensor) || tensor.Type != SafetensorsType.I32 || tensor.Shape is not [> 0, > 0])
        {
            string found = tensor is null ? $"no tensor '{Tensor}'" : tensor.ToString();
            throw new MoeException(
                MoeReason.Configuration, $"--routing: '{path}' has {found}; '{Tensor}', I32 [tokens, top-k], is expected, as `moe run --output` writes it.");
        }

        using MoeBuffer stored = MoeBuffer.OnHost(file.GetTensor(tensor));
        int[] ids = new int[stored.Length];
        stored.CopyTo(ids);
        return new RoutingTrace(path, ids, (int)tensor.Shape[1]);
    }

    /// <summary>Checks that the choices are ones that a layer could make.</summary>
    /// <exception cref="MoeException">They are not.</exception>
    public void Require(MoeLayerShape shape)
    {
        if (_topK != shape.TopK)
        {
            throw new MoeException(MoeReason.Configuration, $"--routing: '{_path}' has top-{_topK} choices; top-{shape.TopK} is expected.");
        }

        for (int token = 0; token < _ids.Length / _topK; token++)
        {
            ReadOnlySpan<int> ids = Of(token);
            for (int k = 0; k < ids.Length; k++)
            {
                if (ids[k] < 0 || ids[k] >= shape.ExpertCount || ids[..k].Contains(ids[k]))
                {
                    throw new MoeException(
                        MoeReason.Configuration,
                        $"--routing: '{_path}' sends token {token} to expert {ids[k]}; distinct ones from 0 to {shape.ExpertCount - 1} are expected.");
                }
            }
        }
    }

    /// <summary>The experts of a token; after the last one the first comes again.</summary>
    public ReadOnlySpan<int> Of(long token) => _ids.AsSpan((int)(token % (_ids.Length / _topK)) * _topK, _topK);
}
