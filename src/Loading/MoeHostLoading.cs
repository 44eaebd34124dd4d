using System.Diagnostics.CodeAnalysis;
using Microsoft.Extensions.Logging;

namespace Moe.Plugins;

/// <summary>Makes hosts that load plugins, without dependency injection.</summary>
public static class MoeHostLoading
{
    extension(MoeHost)
    {
        /// <summary>Makes a host without dependency injection: finds, loads and activates every plugin.</summary>
        /// <param name="options">Where to look and what to prefer.</param>
        /// <param name="loggerFactory">Where messages go; null for nowhere.</param>
        /// <exception cref="MoeException">An option is wrong.</exception>
        [RequiresUnreferencedCode(McMasterPluginLoader.Reason)]
        [RequiresDynamicCode(McMasterPluginLoader.Reason)]
        public static MoeHost Create(MoeOptions options, ILoggerFactory? loggerFactory = null) =>
            MoeHost.Create(options, loggerFactory, [static options => new PluginFolders(options, new McMasterPluginLoader())]);
    }
}
