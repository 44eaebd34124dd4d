namespace Moe.Plugins;

/// <summary>What the host demands of a plugin before any of its code runs.</summary>
internal sealed class TrustPolicy(MoeOptions options, IReadOnlyList<string> folders)
{
    /// <summary>Whether a lock file decides.</summary>
    public bool Pins => options.Trust != MoeTrust.Any;

    /// <summary>The key of the option that says so.</summary>
    public string Setting => options.PathOf(nameof(MoeOptions.Trust));

    /// <summary>Where a plugin lies: in one of the configured folders, links resolved, where nobody else can write.</summary>
    /// <exception cref="MoeException">It lies elsewhere, or somebody else could change it.</exception>
    public void CheckPlace(PluginFile file)
    {
        if (!Pins)
        {
            return;
        }

        string real = WriteAccess.Resolve(file.Folder);
        if (!folders.Any(folder => RealPath.IsWithin(real, RealPath.Of(folder))))
        {
            throw new MoeException(
                MoeReason.Trust,
                $"{file.Folder} leads to {real}, outside of the plugin folders ({string.Join(", ", folders)}).");
        }

        WriteAccess.CheckWithin(real);
    }

    /// <summary>Holds the copy that would be loaded against the lock file, which is read anew each time: it may have been extended.</summary>
    /// <returns>What was found.</returns>
    /// <exception cref="MoeException">The copy is not pinned, or the lock file is not to be trusted.</exception>
    public string Verify(string id, string version, PluginContent copy)
    {
        string path = options.LockFilePath;
        if (!File.Exists(path))
        {
            throw new MoeException(
                MoeReason.Trust,
                $"{Setting} is {options.Trust}, and there is no lock file {path}. "
                + "'moe plugins trust FOLDER' makes one.");
        }

        byte[] json = PluginLock.ReadBytes(WriteAccess.Resolve(path));
        if (options.Trust == MoeTrust.Signed)
        {
            LockSignature.Check(json, options);
        }

        PluginPin pin = PluginLock.Parse(path, json).Find(id)
            ?? throw new MoeException(MoeReason.Trust, $"{path} does not pin a plugin {id}. 'moe plugins trust FOLDER' adds it.");
        pin.Check(version, copy);
        CheckKernels(id);
        return $"All {pin.Files.Count} files are those that {path} pins{(options.Trust == MoeTrust.Signed ? ", which is signed" : "")}.";
    }

    // Compiled kernels are code that no lock file pins: where others can write them, they could as well write the plugin.
    private void CheckKernels(string id)
    {
        if (options.SettingsOf(id).TryGetValue(nameof(MoeOptions.KernelCache), out string? folder) && Directory.Exists(folder))
        {
            WriteAccess.CheckWithin(WriteAccess.Resolve(folder));
        }
    }
}
