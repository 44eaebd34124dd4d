namespace Moe.Plugins;

/// <summary>A layer that a backend is looked for.</summary>
public sealed record MoeLayerRequest
{
    /// <summary>The layer's name, such as <c>model.layers.3.mlp</c>: what the patterns of <see cref="MoeOptions.Layers"/> are held against.</summary>
    public string Name { get; init; } = "";

    /// <summary>The model's own sizes.</summary>
    public required MoeLayerShape Shape { get; init; }

    /// <summary>What the host decides about the layer.</summary>
    public MoeLayerOptions Options { get; init; } = new();

    /// <summary>A backend's id or <c>auto</c>; null leaves it to the host's options.</summary>
    public string? Backend { get; init; }

    /// <summary>What names <see cref="Backend"/>, as messages say it: an option of the program, say. Null for the request itself.</summary>
    public string? NamedBy { get; init; }

    /// <summary>
    /// The rank whose part of the layer is made, of those that <see cref="MoeOptions.Parallel"/> asks for: <see cref="Shape"/> stays the whole
    /// layer's. Null where this process has one rank, or <see cref="MoeLayerOptions.Part"/> says it.
    /// </summary>
    public int? Rank { get; init; }

    /// <summary>The device; null leaves it to the host's options.</summary>
    public MoeDevice? Device { get; init; }
}
