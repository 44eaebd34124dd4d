using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Moe.Plugins;

/// <summary>What a launcher's environment variables say of this process.</summary>
/// <param name="Rank">Among all processes.</param>
/// <param name="Count">Of the processes.</param>
/// <param name="LocalRank">Among those of this machine.</param>
/// <param name="Address">The machine of rank 0, or a path where all are on it.</param>
/// <param name="Port">Where the processes meet there.</param>
/// <param name="Job">What tells them from those of another job.</param>
internal sealed record LaunchedRank(int Rank, int Count, int LocalRank, string Address, int Port, string Job)
{
    private const int DefaultPort = 29401;

    /// <summary>Reads the variables of <see cref="MoeParallelOptions.Launcher"/>, which is one.</summary>
    /// <param name="options">What the user says beside them.</param>
    /// <param name="setting">The key of that option, which messages name.</param>
    /// <param name="get">An environment variable; null where it is not set.</param>
    /// <exception cref="MoeOptionsException">A variable is missing, is no number, or contradicts another or the options.</exception>
    public static LaunchedRank Read(MoeParallelOptions options, string setting, Func<string, string?> get)
    {
        var variables = new Variables(options.Launcher, setting, get);
        LaunchedRank launched = options.Launcher switch
        {
            MoeLauncher.Torchrun => ReadTorchrun(options, variables),
            MoeLauncher.Slurm => ReadSlurm(options, variables),
            _ => ReadOpenMpi(options, variables),
        };
        return launched.Count == options.Count
            ? launched
            : throw variables.Wrong(
                $"started {launched.Count} processes, and {nameof(options.Tensor)} {options.Tensor} × {nameof(options.Expert)} {options.Expert} are {options.Count} ranks; "
                + "a process for each rank is expected.");
    }

    private static LaunchedRank ReadTorchrun(MoeParallelOptions options, Variables variables)
    {
        (int rank, int count, int local) = variables.Ranks("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE");
        int port = options.Port ?? variables.Number("MASTER_PORT", 1, 65534) + 1;
        string job = $"{variables.Find("TORCHELASTIC_RUN_ID")}/{variables.Find("TORCHELASTIC_RESTART_COUNT")}";
        bool isOneMachine = variables.Find("LOCAL_WORLD_SIZE") is not null && variables.Number("LOCAL_WORLD_SIZE", 1, count) == count;
        return new LaunchedRank(rank, count, local, AddressOf(options, isOneMachine, port, job) ?? variables.Text("MASTER_ADDR"), port, job);
    }

    private static LaunchedRank ReadSlurm(MoeParallelOptions options, Variables variables)
    {
        string tasks = variables.Find("SLURM_STEP_NUM_TASKS") is null ? "SLURM_NTASKS" : "SLURM_STEP_NUM_TASKS";
        (int rank, int count, int local) = variables.Ranks("SLURM_PROCID", tasks, "SLURM_LOCALID", null);
        string list = variables.Find("SLURM_STEP_NODELIST") is null ? "SLURM_JOB_NODELIST" : "SLURM_STEP_NODELIST";
        string job = $"{variables.Find("SLURM_JOB_ID")}.{variables.Find("SLURM_STEP_ID")}";
        int port = options.Port ?? DefaultPort;
        string nodes = variables.Find("SLURM_STEP_NUM_NODES") is null ? "SLURM_JOB_NUM_NODES" : "SLURM_STEP_NUM_NODES";
        string address = AddressOf(options, variables.Find(nodes) == "1", port, job)
            ?? FirstOf(variables.Text(list))
            ?? throw variables.Wrong($"has set {list} to '{variables.Text(list)}'; names of machines such as node[01-04,07] are expected.");
        return new LaunchedRank(rank, count, local, address, port, job);
    }

    private static LaunchedRank ReadOpenMpi(MoeParallelOptions options, Variables variables)
    {
        const string LocalSize = "OMPI_COMM_WORLD_LOCAL_SIZE";
        (int rank, int count, int local) = variables.Ranks("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", LocalSize);
        int port = options.Port ?? DefaultPort;
        string job = variables.Find("PMIX_NAMESPACE") ?? "";
        bool isOneMachine = options.Address is null && variables.Number(LocalSize, 1, count) == count;
        string address = AddressOf(options, isOneMachine, port, job) ?? (isOneMachine
            ? "localhost"
            : throw variables.Wrong($"names no machine of rank 0 to processes of several machines; {nameof(options.Address)} is expected."));
        return new LaunchedRank(rank, count, local, address, port, job);
    }

    /// <summary>
    /// What the options say; else, where all processes are on one machine, a socket in a folder of the user's: a port of the machine's is one that its
    /// other users reach too. Null where the launcher's variables say it.
    /// </summary>
    private static string? AddressOf(MoeParallelOptions options, bool isOneMachine, int port, string job)
    {
        if (options.Address is not null || options.Port is not null || !isOneMachine || !OperatingSystem.IsLinux())
        {
            return options.Address;
        }

        string name = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{options.Launcher} {port} {job}")))[..16];
        string path = Path.Combine(Path.GetFullPath(Path.GetTempPath()), $"moe-ranks-{UnixFile.CurrentUser()}", name);
        return MeetingPlace.Refuse(path) is null ? MeetingPlace.UnixPrefix + path : null;
    }

    /// <summary>The first machine of a list as Slurm writes it: <c>a1</c> of <c>a1,b2</c>, <c>n01</c> of <c>n[01-04,07]</c>, with what is behind the bracket.</summary>
    internal static string? FirstOf(string list)
    {
        int open = list.IndexOf('[', StringComparison.Ordinal);
        int comma = list.IndexOf(',', StringComparison.Ordinal);
        if (open < 0 || (comma >= 0 && comma < open))
        {
            string plain = comma < 0 ? list : list[..comma];
            return plain.Length == 0 ? null : plain;
        }

        int close = list.IndexOf(']', open);
        int end = close < 0 ? -1 : list.AsSpan(open, close - open).IndexOfAny(',', '-');
        if (close < 0)
        {
            return null;
        }

        string first = list[(open + 1)..(end < 0 ? close : open + end)];
        string behind = list[(close + 1)..].Split(',')[0];
        return first.Length == 0 ? null : behind.Contains('[', StringComparison.Ordinal) ? FirstOf($"{list[..open]}{first}{list[(close + 1)..]}") : $"{list[..open]}{first}{behind}";
    }

    private sealed class Variables(MoeLauncher launcher, string setting, Func<string, string?> get)
    {
        public string? Find(string name) => string.IsNullOrEmpty(get(name)) ? null : get(name);

        public string Text(string name) =>
            Find(name) ?? throw Wrong($"is to have set the environment variable {name}, and it is not set. Is the program started by it?");

        public int Number(string name, int least, int most) =>
            int.TryParse(Text(name), NumberStyles.None, CultureInfo.InvariantCulture, out int value) && value >= least && value <= most
                ? value
                : throw Wrong($"has set {name} to '{Text(name)}'; {least} to {most} is expected.");

        public (int Rank, int Count, int Local) Ranks(string rank, string count, string local, string? localCount)
        {
            int all = Number(count, 1, MoeParallelOptions.MostRanks);
            int number = Number(rank, 0, all - 1);
            int here = localCount is null || Find(localCount) is null ? all : Number(localCount, 1, all);
            int among = Number(local, 0, here - 1);
            return among > number
                ? throw Wrong($"has set {local} to {among} and {rank} to {number}; no rank is smaller than its number on its machine.")
                : (number, all, among);
        }

        public MoeOptionsException Wrong(string message) => new(setting, $"is {launcher}, which {message}");
    }
}
