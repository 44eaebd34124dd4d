namespace Moe.Plugins;

/// <summary>Over how many ranks layers are cut, and where the ranks are: the section <c>Moe:Parallel</c>.</summary>
public sealed class MoeParallelOptions
{
    /// <summary>The most ranks.</summary>
    internal const int MostRanks = 4096;

    /// <summary>Ranks that share each expert.</summary>
    public int Tensor { get; set; } = 1;

    /// <summary>Ranks that share the experts.</summary>
    public int Expert { get; set; } = 1;

    /// <summary>
    /// Devices, <c>cpu</c>, <c>cuda:N</c> or <c>N</c>. Of threads one for each rank; of processes one for each rank of a machine, or a single one
    /// for this process. Empty: GPUs from 0 on (of processes the one whose number is the local rank), or the processor where no plugin has groups
    /// of GPUs.
    /// </summary>
    public IList<string> Devices { get; set; } = [];

    /// <summary>Who starts a process for each rank; <see cref="MoeLauncher.None"/> where the ranks are threads.</summary>
    public MoeLauncher Launcher { get; set; }

    /// <summary>
    /// The machine of rank 0, or <c>unix:</c> and a socket's path. Null, and no <see cref="Port"/>: a socket that only this user's processes reach where the
    /// launcher's variables say that all are on one machine, else the machine that they name.
    /// </summary>
    public string? Address { get; set; }

    /// <summary>
    /// The port of rank 0's where the processes meet, if they do at a port; null for the one after the launcher's own (torchrun's <c>MASTER_PORT</c>), or 29401.
    /// </summary>
    public int? Port { get; set; }

    /// <summary>How long ranks wait for one that does not come, at the start and in every reduction.</summary>
    public TimeSpan Timeout { get; set; } = TimeSpan.FromSeconds(30);

    internal int Count => checked(Tensor * Expert);

    internal IEnumerable<(string Key, string Message)> Errors()
    {
        if (Tensor < 1)
        {
            yield return (nameof(Tensor), $"is {Tensor}; at least 1 is expected.");
        }

        if (Expert < 1)
        {
            yield return (nameof(Expert), $"is {Expert}; at least 1 is expected.");
        }

        if ((long)Tensor * Expert > MostRanks)
        {
            yield return (nameof(Tensor), $"and {nameof(Expert)} make {(long)Tensor * Expert} ranks; at most {MostRanks} are expected.");
        }

        if (Devices.Where(device => !MoeDevice.TryParse(device, out _)).ToArray() is { Length: > 0 } wrong)
        {
            yield return (nameof(Devices), $"has '{wrong[0]}'; cpu, cuda:N or N is expected.");
        }
        else if (Launcher == MoeLauncher.None && Devices.Count > 0 && Devices.Count != (long)Tensor * Expert)
        {
            yield return (nameof(Devices), $"has {Devices.Count}; one for each of the {(long)Tensor * Expert} ranks is expected.");
        }

        if (!Enum.IsDefined(Launcher))
        {
            yield return (nameof(Launcher), $"is {(int)Launcher}; {string.Join(", ", Enum.GetNames<MoeLauncher>())} is expected.");
        }

        if (Address is not null && string.IsNullOrWhiteSpace(Address))
        {
            yield return (nameof(Address), "is empty; the machine of rank 0, or unix: and a path, is expected.");
        }

        if (Port is < 1 or > 65535)
        {
            yield return (nameof(Port), $"is {Port}; 1 to 65535 is expected.");
        }

        if (Timeout <= TimeSpan.Zero || Timeout > TimeSpan.FromHours(1))
        {
            yield return (nameof(Timeout), $"is {Timeout}; more than 0 and at most an hour is expected: 00:00:30 is half a minute, and 30 are days.");
        }
    }
}
