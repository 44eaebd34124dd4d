namespace Moe.Plugins.Kernels;

/// <summary>Which of the MXFP4 products runs, and its tile.</summary>
/// <param name="Kind">The kernels.</param>
/// <param name="Tokens">The most tokens of a tile.</param>
/// <param name="Rows">Weight rows of a tile.</param>
public readonly record struct Mxfp4Variant(Mxfp4Kind Kind, int Tokens, int Rows)
{
    internal static readonly Mxfp4Variant Stream8x64 = new(Mxfp4Kind.Stream, 8, 64);
    internal static readonly Mxfp4Variant Grouped32x64 = new(Mxfp4Kind.Grouped, 32, 64);
    internal static readonly Mxfp4Variant Grouped32x128 = new(Mxfp4Kind.Grouped, 32, 128);
    internal static readonly Mxfp4Variant Grouped80x192 = new(Mxfp4Kind.Grouped, 80, 192);
    internal static readonly Mxfp4Variant Grouped80 = new(Mxfp4Kind.Grouped, 80, 256);
    internal static readonly Mxfp4Variant Grouped96 = new(Mxfp4Kind.Grouped, 96, 192);
    internal static readonly Mxfp4Variant Grouped144 = new(Mxfp4Kind.Grouped, 144, 192);
    internal static readonly Mxfp4Variant Grouped160 = new(Mxfp4Kind.Grouped, 160, 192);
    internal static readonly Mxfp4Variant Mma64 = new(Mxfp4Kind.Mma, 64, 128);

    /// <summary>All there are.</summary>
    public static IReadOnlyList<Mxfp4Variant> All { get; } =
        [Stream8x64, Grouped32x64, Grouped32x128, Grouped80x192, Grouped80, Grouped96, Grouped144, Grouped160, Mma64];

    /// <summary>Those that are compiled for every activation; the others for the common one.</summary>
    internal static IReadOnlyList<Mxfp4Variant> OfAnyActivation { get; } = [Grouped32x128, Grouped80, Grouped144, Mma64];

    /// <summary>Reads a setting that forces a variant.</summary>
    /// <param name="context">The backend's.</param>
    /// <param name="setting">The setting's key. Its value is a variant's name; without one, the fastest is chosen.</param>
    /// <exception cref="MoeException">There is no such variant.</exception>
    public static Mxfp4Variant? Read(IMoePluginContext context, string setting)
    {
        ArgumentNullException.ThrowIfNull(context);
        ArgumentException.ThrowIfNullOrWhiteSpace(setting);
        if (!context.Settings.TryGetValue(setting, out string? name))
        {
            return null;
        }

        foreach (Mxfp4Variant variant in All)
        {
            if (string.Equals(variant.ToString(), name, StringComparison.OrdinalIgnoreCase))
            {
                return variant;
            }
        }

        throw context.WrongSetting(setting, $"one of {string.Join(", ", All)}");
    }

    /// <summary>As settings name it: kind, tokens, rows; <c>grouped32x64</c>, <c>mma64x128</c>.</summary>
    public override string ToString() => $"{Kind.ToString().ToLowerInvariant()}{Tokens}x{Rows}";
}

/// <summary>The families of MXFP4 products.</summary>
public enum Mxfp4Kind
{
    /// <summary>The matrix instructions of a warpgroup (<c>mxfp4_grouped.cuh</c>; 9.0 only).</summary>
    Grouped,

    /// <summary>Both products of up to 8 tokens in one launch (<c>mxfp4_stream.cuh</c>; 9.0 only), with MXFP8 activations for the common activation. Else the plan chooses.</summary>
    Stream,

    /// <summary>Those of a warp, on any device from 8.0 on (<c>mxfp4_mma.cuh</c>).</summary>
    Mma,
}
