using Microsoft.Extensions.Logging;

namespace Moe.Plugins;

/// <summary>What a host says when it starts.</summary>
internal static class StartLog
{
    public static void Write(ILogger logger, MoeOptions options, IReadOnlyList<PluginRecord> plugins, IReadOnlyList<string> folders)
    {
        WriteTrust(logger, options, plugins);
        foreach (PluginRecord plugin in plugins)
        {
            if (plugin.HasEnded)
            {
                HostLog.PluginEnded(logger, plugin.Id, PlainText.Of(plugin.Path), plugin.State, plugin.Reason, plugin.Message);
            }
            else
            {
                HostLog.PluginActive(logger, plugin.Id, plugin.Version, PlainText.Of(plugin.Path));
            }
        }

        if (plugins.Count == 0)
        {
            // That each folder, setting and backend's name is nobody's follows from it.
            WriteEmpty(logger, folders);
            return;
        }

        WriteFolders(logger, folders);
        WriteSettings(logger, options, plugins);
        WriteUnknownBackends(logger, options, [.. plugins.Select(static p => p.Id)], folders);
    }

    private static void WriteTrust(ILogger logger, MoeOptions options, IEnumerable<PluginRecord> plugins)
    {
        if (options.Trust == MoeTrust.Any && plugins.Any(static plugin => plugin.File is not null))
        {
            string lockFile = options.LockFilePath;
            HostLog.TrustsAny(logger, options.PathOf(nameof(MoeOptions.Trust)), File.Exists(lockFile) ? $" {lockFile} is there and is not looked at." : "");
        }
    }

    private static void WriteFolders(ILogger logger, IReadOnlyList<string> folders)
    {
        foreach (string folder in folders)
        {
            if (PluginFolderState.Describe(folder) is { } wrong)
            {
                HostLog.FolderMissing(logger, folder, wrong);
            }
        }
    }

    // Settings of nobody, and settings that nobody asked for, were meant for somebody.
    private static void WriteSettings(ILogger logger, MoeOptions options, IReadOnlyList<PluginRecord> plugins)
    {
        string section = options.PathOf(nameof(MoeOptions.Plugins));
        string[] found = [.. plugins.Select(static p => p.Id).Distinct(StringComparer.OrdinalIgnoreCase)];
        foreach ((string key, IReadOnlyDictionary<string, string> settings) in options.Plugins)
        {
            if (!found.Any(id => MoeOptions.IsOf(key, id)))
            {
                HostLog.SettingUnused(logger, $"{section}:{key} has settings of a plugin that was not found.{DidYouMean.Ask(key, found)}");
                continue;
            }

            foreach (PluginRecord plugin in plugins.Where(p => !p.HasEnded && MoeOptions.IsOf(key, p.Id)))
            {
                foreach (string setting in settings.Keys.Where(setting => plugin.Settings?.Knows(setting) == false))
                {
                    string[] asked = plugin.Settings!.Asked;
                    HostLog.SettingUnused(
                        logger,
                        $"{plugin.Id} did not ask for {section}:{key}:{setting} when it was made.{DidYouMean.Ask(setting, asked)} "
                        + $"It asked for: {(asked.Length == 0 ? "nothing" : string.Join(", ", asked))}.");
                }
            }
        }
    }

    // Without a backend no layer can be made, which is better said now than then.
    private static void WriteEmpty(ILogger logger, IReadOnlyList<string> folders)
    {
        string[] looked = [.. folders.Select(static folder => PluginFolderState.Describe(folder) is { } wrong ? $"{PlainText.Of(folder)}, which {wrong}" : PlainText.Of(folder))];
        HostLog.NoBackend(
            logger,
            $"No MoE backend was found. Looked in: {(looked.Length == 0 ? "no folder" : string.Join("; ", looked))}. "
                + "Add a backend's package, such as Moe.Plugins.Backends.Cpu, put a plugin's folder there, or compile one in with AddMoeBackend.");
    }

    // A mistyped name is said at once, not when the first layer asks for it.
    private static void WriteUnknownBackends(ILogger logger, MoeOptions options, string[] found, IReadOnlyList<string> folders)
    {
        foreach ((string sentence, bool isNamed) in ConfiguredBackends.Unknown(options, found, folders))
        {
            if (isNamed)
            {
                HostLog.UnknownBackendNamed(logger, sentence);
            }
            else
            {
                HostLog.UnknownBackendInOrder(logger, sentence);
            }
        }
    }
}
