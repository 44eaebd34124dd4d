namespace Moe.Plugins;

/// <summary>Every id that the options mention, with the option that does.</summary>
internal static class ConfiguredBackends
{
    /// <summary>The ids but for <c>auto</c>; <c>IsNamed</c> where the option names a backend that must run, not a preference.</summary>
    public static IEnumerable<(string Source, string Id, bool IsNamed)> Of(MoeOptions options)
    {
        const string Section = MoeOptions.SectionName;
        IEnumerable<(string Source, string Id, bool IsNamed)> named =
        [
            ($"{Section}:{nameof(MoeOptions.Backend)}", options.Backend, true),
            .. options.Layers.Select(layer => ($"{Section}:{nameof(MoeOptions.Layers)}:{layer.Key}", layer.Value, true)),
            .. options.Order.Select(id => ($"{Section}:{nameof(MoeOptions.Order)}", id, false)),
        ];
        return named.Where(n => !n.Id.Equals(MoeOptions.Auto, StringComparison.OrdinalIgnoreCase));
    }
}
