using Moe.Plugins.Conformance;

namespace Moe.Plugins.Cli;

/// <summary>Random weights of a shape, made once for all backends, and random tokens for them.</summary>
internal sealed class BenchSource : IDisposable
{
    private readonly RandomLayer _layer;
    private readonly BenchRouter _router;
    private readonly RoutingTrace? _trace;
    private readonly int _seed;

    /// <exception cref="MoeException">There is not that much memory, or a routing file does not fit the shape.</exception>
    public BenchSource(MoeLayerShape shape, BenchSettings settings)
    {
        Shape = shape;
        _seed = settings.Seed;
        if (settings.Routing is not (BenchSettings.Uniform or BenchSettings.Skewed))
        {
            _trace = RoutingTrace.Load(settings.Routing);
            _trace.Require(shape);
        }

        HostMemory.RequireLayer(shape, settings.Tokens.Max());
        _layer = new RandomLayer(shape, settings.Seed);
        _router = new BenchRouter(shape, settings.Seed, settings.Routing == BenchSettings.Skewed);
        Weights = _router.ReplaceIn(_layer.Source);
    }

    public MoeLayerShape Shape { get; }

    public MoeWeightSource Weights { get; }

    /// <summary>Makes tokens, the same ones each time, which the router sends where the settings say.</summary>
    public MoeBuffer Tokens(int count)
    {
        MoeBuffer tokens = RandomInput.Create(count, Shape.HiddenSize, _seed + 1);
        if (_trace is not null)
        {
            Parallel.For(0, count, token => _router.Plant(BFloat16.Row(tokens.View, token), _trace.Of(token)));
        }

        return tokens;
    }

    /// <summary>Tokens that did not go where the routing file has them; 0 without one.</summary>
    public unsafe int Strayed(MoeTensorView ids)
    {
        int strayed = 0;
        for (int token = 0; token < ids.Rows && _trace is not null; token++)
        {
            var chosen = new ReadOnlySpan<int>((void*)ids.RowAddress(token), ids.Columns);
            foreach (int expert in _trace.Of(token))
            {
                if (!chosen.Contains(expert))
                {
                    strayed++;
                    break;
                }
            }
        }

        return strayed;
    }

    public void Dispose()
    {
        _layer.Dispose();
        _router.Dispose();
    }
}
