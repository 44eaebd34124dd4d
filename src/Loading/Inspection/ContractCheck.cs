using System.Globalization;

namespace Moe.Plugins;

/// <summary>Whether a plugin that needs one version of the contract runs on a host that has another.</summary>
internal static class ContractCheck
{
    /// <exception cref="MoeException">The plugin needs a contract that this host does not have.</exception>
    public static void Check(string needed, string offered = MoeContract.Version)
    {
        (int major, int minor) = Parse(offered);
        (int neededMajor, int neededMinor) = Parse(needed);
        if (neededMajor != major)
        {
            throw new MoeException(
                MoeReason.ContractVersion,
                $"It needs contract {needed}; this host has {offered}, and major versions do not mix.");
        }

        if (neededMinor > minor)
        {
            throw new MoeException(
                MoeReason.ContractVersion,
                $"It needs contract {needed}; this host has {offered}: a newer host runs it.");
        }
    }

    private static (int Major, int Minor) Parse(string version)
    {
        string[] parts = version.Split('.');
        return parts.Length == 2
            && int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out int major)
            && int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out int minor)
                ? (major, minor)
                : throw new MoeException(MoeReason.ContractVersion, $"It declares contract '{version}'; major.minor is expected, such as {MoeContract.Version}.");
    }
}
