using System.Diagnostics.CodeAnalysis;
using System.Reflection;
using System.Runtime.Loader;
using McMaster.NETCore.Plugins;

namespace Moe.Plugins;

/// <summary>
/// Loads with McMaster.NETCore.Plugins: files as they are (in memory, natives and <c>Assembly.Location</c> break), collectible, and
/// exactly one assembly shared, the contract. Everything else in a plugin's folder is its own.
/// </summary>
[RequiresUnreferencedCode(Reason)]
[RequiresDynamicCode(Reason)]
internal sealed class McMasterPluginLoader : IPluginLoader
{
    public const string Reason =
        "Plugin DLLs need the whole runtime and a JIT compiler. A trimmed or natively compiled program uses AddMoeBackend<TPlugin>() instead.";

    public ILoadedPlugin Load(string mainAssembly)
    {
        Assembly contract = typeof(IMoePlugin).Assembly;
        PluginLoader loader = PluginLoader.CreateFromAssemblyFile(mainAssembly, config =>
        {
            config.IsUnloadable = true;
            config.LoadInMemory = false;
            config.DefaultContext = AssemblyLoadContext.GetLoadContext(contract)!;
            config.SharedAssemblies.Add(contract.GetName());
        });
        try
        {
            return new Loaded(loader, loader.LoadDefaultAssembly());
        }
        catch
        {
            loader.Dispose();
            throw;
        }
    }

    [RequiresUnreferencedCode(Reason)]
    private sealed class Loaded(PluginLoader loader, Assembly assembly) : ILoadedPlugin
    {
        public WeakReference Context { get; } = new(AssemblyLoadContext.GetLoadContext(assembly));

        public IMoePlugin CreateEntry(string typeName)
        {
            Type type = assembly.GetType(typeName, throwOnError: true)!;
            return type.IsAssignableTo(typeof(IMoePlugin))
                ? (IMoePlugin)Activator.CreateInstance(type)!
                : throw new MoeException(MoeReason.NotAPlugin, $"Its entry type {typeName} does not implement {nameof(IMoePlugin)}.");
        }

        public void Dispose() => loader.Dispose();
    }
}
