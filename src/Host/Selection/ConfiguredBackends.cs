namespace Moe.Plugins;

/// <summary>Every id that the options mention, with the option that does.</summary>
internal static class ConfiguredBackends
{
    /// <summary>
    /// A sentence for each that is none of the plugins found; <c>IsNamed</c> where the option names a backend that must run, not a preference.
    /// </summary>
    public static IEnumerable<(string Sentence, bool IsNamed)> Unknown(MoeOptions options, IReadOnlyList<string> found, IReadOnlyList<string> folders) =>
        from named in Of(options)
        where !found.Contains(named.Id, StringComparer.OrdinalIgnoreCase)
        select (UnknownBackend.Describe(named.Id, named.Source, found, folders), named.IsNamed);

    private static IEnumerable<(string Source, string Id, bool IsNamed)> Of(MoeOptions options)
    {
        IEnumerable<(string Source, string Id, bool IsNamed)> named =
        [
            (options.PathOf(nameof(MoeOptions.Backend)), options.Backend, true),
            .. options.Layers.Select(layer => (options.PathOf(nameof(MoeOptions.Layers), layer.Key), layer.Value, true)),
            .. options.Order.Select(id => (options.PathOf(nameof(MoeOptions.Order)), id, false)),
        ];
        return named.Where(n => !n.Id.Equals(MoeOptions.Auto, StringComparison.OrdinalIgnoreCase));
    }
}
