using System.Globalization;
using System.Text;

namespace Moe.Plugins.Collectives;

/// <summary>What processes tell each other of their ranks before a group is made: a line of text each.</summary>
/// <param name="Machine">What all processes of one machine have in common.</param>
/// <param name="Device">The device's own number, the same for all processes.</param>
/// <param name="Transport">What the rank's settings ask for.</param>
/// <param name="NcclVersion">The version of its NCCL; 0 where it has none.</param>
/// <param name="WithoutNccl">Why it has none.</param>
/// <param name="Table">How it would reduce.</param>
/// <param name="MayMulticast">Whether its NCCL may use multicast.</param>
internal sealed record RankFacts(string Machine, string Device, Transport Transport, int NcclVersion, string WithoutNccl, string Table, bool MayMulticast)
{
    private const char Separator = '\u001f';

    public byte[] ToBytes() => Encoding.UTF8.GetBytes(
        string.Join(Separator, Machine, Device, Transport.ToString(), NcclVersion.ToString(CultureInfo.InvariantCulture), WithoutNccl, Table, MayMulticast.ToString()));

    public static RankFacts Read(ReadOnlyMemory<byte> bytes)
    {
        string[] parts = Encoding.UTF8.GetString(bytes.Span).Split(Separator);
        return new RankFacts(parts[0], parts[1], Enum.Parse<Transport>(parts[2]), int.Parse(parts[3], CultureInfo.InvariantCulture), parts[4], parts[5], bool.Parse(parts[6]));
    }

    /// <summary>Checks what must be the same on all ranks.</summary>
    /// <param name="all">What each rank told.</param>
    /// <param name="settingPath">A setting's key as the user wrote it.</param>
    /// <exception cref="MoeException">A rank has other settings; it is named.</exception>
    public static void RequireEqual(RankFacts[] all, Func<string, string> settingPath)
    {
        for (int rank = 1; rank < all.Length; rank++)
        {
            (string Setting, string Own, string First)? difference = all[rank].Transport != all[0].Transport
                    ? (nameof(Transport), $"{all[rank].Transport}", $"{all[0].Transport}")
                : all[rank].MayMulticast != all[0].MayMulticast ? ("NvLinkMulticast", $"{all[rank].MayMulticast}", $"{all[0].MayMulticast}")
                : all[rank].Table != all[0].Table ? ("Plan or Table", all[rank].Table, all[0].Table)
                : null;
            if (difference is (string setting, string own, string first))
            {
                throw new MoeException(
                    MoeReason.Configuration,
                    $"Rank {rank} differs from rank 0 in {settingPath(setting)}: {own} against {first}. The same is expected on all ranks.");
            }
        }
    }

    /// <summary>What tells machines apart: each boot of one has its own number.</summary>
    public static string ThisMachine()
    {
        const string BootId = "/proc/sys/kernel/random/boot_id";
        return File.Exists(BootId) ? File.ReadAllText(BootId).Trim() : Environment.MachineName;
    }
}
