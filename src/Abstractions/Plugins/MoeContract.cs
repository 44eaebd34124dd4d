namespace Moe.Plugins;

/// <summary>The version of this contract.</summary>
public static class MoeContract
{
    /// <summary>
    /// <c>major.minor</c>. A plugin runs on a host of the same major version and the same or a later minor one: a minor version
    /// only adds members, with default bodies.
    /// </summary>
    public const string Version = "2.0";
}
