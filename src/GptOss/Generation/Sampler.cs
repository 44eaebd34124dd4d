using System.Numerics.Tensors;

namespace Moe.Plugins.GptOss;

/// <summary>Chooses tokens. Of equal ones the lowest id comes first, so that a seed means the same everywhere.</summary>
internal sealed class Sampler
{
    /// <summary>How much less likely the tokens are that are sorted next where those sorted do not make a nucleus.</summary>
    private const double NucleusStep = 256;

    private readonly GptOssSampling _options;
    private ulong _state;
    private (double Weight, int Id)[] _draw = [];

    public Sampler(GptOssSampling options)
    {
        options.Validate();
        _options = options;
        _state = (ulong)(options.Seed ?? Random.Shared.NextInt64());
    }

    /// <summary>The likeliest one each time.</summary>
    public static Sampler Greedy { get; } = new(GptOssSampling.Greedy);

    /// <summary>How they are chosen.</summary>
    public GptOssSampling Options => _options;

    /// <summary>Chooses one.</summary>
    /// <param name="logits">[vocabulary].</param>
    /// <param name="banned">Tokens that must not come; their logits become −∞.</param>
    public int Next(Span<float> logits, IReadOnlyCollection<int> banned)
    {
        foreach (int id in banned)
        {
            logits[id] = float.NegativeInfinity;
        }

        return Next(logits);
    }

    /// <summary>Chooses one.</summary>
    /// <param name="logits">[vocabulary]; −∞ for what must not come.</param>
    public int Next(ReadOnlySpan<float> logits)
    {
        int best = TensorPrimitives.IndexOfMax(logits);
        if (float.IsNaN(logits[best]))
        {
            throw NotNumbers();
        }

        return _options.Temperature == 0 ? best : Draw(logits, logits[best]);
    }

    /// <summary>
    /// Tokens are in the draw from this share of the likeliest one's probability on: what is less likely than one in 10¹³ of it is drawn by nobody in a lifetime.
    /// </summary>
    public double LeastWeight => Math.Max(_options.MinP, 1e-13);

    public static MoeException NotNumbers() =>
        new(MoeReason.DeviceFailed, "The model's logits are not numbers: a backend computed wrongly, or the weights are damaged.");

    private int Draw(ReadOnlySpan<float> logits, float highest)
    {
        // Shares of infinity are none; of nothing but −∞ neither.
        if (!float.IsFinite(highest))
        {
            throw NotNumbers();
        }

        int count = Weigh(logits, highest);
        double sum = 0;
        for (int i = 0; i < count; i++)
        {
            sum += _draw[i].Weight;
        }

        if (_options.TopP < 1)
        {
            (count, sum) = Nucleus(count, _options.TopP * sum);
        }

        double left = NextUnit() * sum;
        for (int i = 0; i < count; i++)
        {
            left -= _draw[i].Weight;
            if (left < 0)
            {
                return _draw[i].Id;
            }
        }

        return _draw[count - 1].Id;
    }

    /// <summary>Puts into the draw what min-p lets in, each with its probability relative to the likeliest.</summary>
    private int Weigh(ReadOnlySpan<float> logits, float highest)
    {
        if (_draw.Length < logits.Length)
        {
            _draw = new (double, int)[logits.Length];
        }

        double least = LeastWeight;

        // Most tokens of a large vocabulary are far below, and need no exponential to be left out.
        float lowest = MathF.BitDecrement((float)(highest + (Math.Log(least) * _options.Temperature)));
        int count = 0;
        for (int id = 0; id < logits.Length; id++)
        {
            if (logits[id] < lowest)
            {
                continue;
            }

            double weight = Math.Exp((logits[id] - (double)highest) / _options.Temperature);
            if (weight >= least)
            {
                _draw[count++] = (weight, id);
            }
        }

        return count;
    }

    /// <summary>
    /// Brings the likeliest tokens to the front, in their order, so many that their weights reach a sum. They are mostly few of a large vocabulary: at first only
    /// the most likely ones are sorted, and less likely ones with them where they do not reach it.
    /// </summary>
    private (int Count, double Sum) Nucleus(int count, double enough)
    {
        double least = 1;
        while (true)
        {
            least /= NucleusStep;
            int likely = BringToFront(count, least);
            _draw.AsSpan(0, likely).Sort(static (a, b) => a.Weight != b.Weight ? b.Weight.CompareTo(a.Weight) : a.Id.CompareTo(b.Id));
            double sum = 0;
            for (int i = 0; i < likely; i++)
            {
                sum += _draw[i].Weight;
                if (sum >= enough)
                {
                    return (i + 1, sum);
                }
            }

            if (likely == count)
            {
                return (count, sum);
            }
        }
    }

    /// <summary>Brings what has some weight at least before what has less.</summary>
    /// <returns>How many have.</returns>
    private int BringToFront(int count, double least)
    {
        int likely = 0;
        for (int i = 0; i < count; i++)
        {
            if (_draw[i].Weight >= least)
            {
                (_draw[likely], _draw[i]) = (_draw[i], _draw[likely]);
                likely++;
            }
        }

        return likely;
    }

    /// <summary>0 to 1 from SplitMix64 (Steele, Lea, Flood 2014): the same on every version of the runtime.</summary>
    public double NextUnit()
    {
        ulong z = _state += 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return ((z ^ (z >> 31)) >> 11) * (1.0 / (1UL << 53));
    }
}
