namespace Moe.Plugins;

/// <summary>Which backend a layer shall have, and who says so.</summary>
/// <param name="Backend">An id, or <c>auto</c>.</param>
/// <param name="Source">The option or argument that says so, for messages.</param>
/// <param name="Device">The device; null for any.</param>
internal sealed record BackendWish(string Backend, string Source, MoeDevice? Device)
{
    public bool IsAuto => Backend.Equals(MoeOptions.Auto, StringComparison.OrdinalIgnoreCase);

    /// <summary>The request's own wish counts first, then the layer's pattern, then the one for all layers.</summary>
    public static BackendWish Of(MoeOptions options, MoeLayerRequest request)
    {
        MoeDevice? device = request.Device ?? options.ParseDevice();
        if (request.Backend is not null)
        {
            return new BackendWish(request.Backend, request.NamedBy ?? "the request", device);
        }

        return LayerPatterns.Match(options.Layers.Keys, request.Name) is { } pattern
            ? new BackendWish(options.Layers[pattern], options.PathOf(nameof(MoeOptions.Layers), pattern), device)
            : new BackendWish(options.Backend, options.PathOf(nameof(MoeOptions.Backend)), device);
    }
}
