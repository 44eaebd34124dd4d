namespace Moe.Plugins;

/// <summary>
/// Declares that an assembly is a plugin. The host reads it from metadata, before it loads anything:
/// <c>[assembly: MoePlugin("Contoso.Fp4", typeof(Fp4Plugin))]</c>.
/// </summary>
[AttributeUsage(AttributeTargets.Assembly)]
public sealed class MoePluginAttribute : Attribute
{
    /// <summary>Declares the plugin.</summary>
    /// <param name="id">The backend's name in configuration; by convention the assembly's and its folder's name.</param>
    /// <param name="entryType">A class with a public parameterless constructor that implements <see cref="IMoePlugin"/>.</param>
    /// <param name="contract">
    /// The contract that the plugin needs, <c>major.minor</c>. Left out, it is the one that the plugin was compiled against.
    /// </param>
    public MoePluginAttribute(string id, Type entryType, string contract = MoeContract.Version)
    {
        Id = id;
        EntryType = entryType;
        Contract = contract;
    }

    /// <summary>The backend's name in configuration.</summary>
    public string Id { get; }

    /// <summary>The class that makes the backend.</summary>
    public Type EntryType { get; }

    /// <summary>The contract that the plugin needs, <c>major.minor</c>.</summary>
    public string Contract { get; }
}
