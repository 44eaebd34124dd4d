namespace Moe.Plugins.Tests;

/// <summary>Where a process finds its rank, and what is said where it does not.</summary>
public sealed class LaunchedRankTests
{
    private const string Setting = "Moe:Parallel:Launcher";

    private static readonly (string Name, string Value)[] Torchrun =
    [
        ("RANK", "5"), ("WORLD_SIZE", "8"), ("LOCAL_RANK", "1"), ("LOCAL_WORLD_SIZE", "4"), ("MASTER_ADDR", "node0"), ("MASTER_PORT", "29500"),
        ("TORCHELASTIC_RUN_ID", "a7"), ("TORCHELASTIC_RESTART_COUNT", "2"),
    ];

    private static readonly (string Name, string Value)[] Slurm =
    [
        ("SLURM_PROCID", "5"), ("SLURM_NTASKS", "8"), ("SLURM_LOCALID", "1"), ("SLURM_STEP_NODELIST", "node[07-08]"), ("SLURM_JOB_ID", "77"), ("SLURM_STEP_ID", "0"),
    ];

    private static readonly (string Name, string Value)[] OpenMpi =
    [
        ("OMPI_COMM_WORLD_RANK", "5"), ("OMPI_COMM_WORLD_SIZE", "8"), ("OMPI_COMM_WORLD_LOCAL_RANK", "5"), ("OMPI_COMM_WORLD_LOCAL_SIZE", "8"),
    ];

    [Fact]
    public void Torchrun_says_it_and_the_port_is_beside_its_own() =>
        Assert.Equal(new LaunchedRank(5, 8, 1, "node0", 29501, "a7/2"), Read(MoeLauncher.Torchrun, Torchrun));

    [Fact]
    public void Slurm_says_it_and_the_first_machine_has_rank_0() =>
        Assert.Equal(new LaunchedRank(5, 8, 1, "node07", 29401, "77.0"), Read(MoeLauncher.Slurm, Slurm));

    [Fact]
    public void Open_mpi_says_it_on_one_machine() =>
        Assert.Equal(new LaunchedRank(5, 8, 5, PathOf(Read(MoeLauncher.OpenMpi, OpenMpi)), 29401, ""), Read(MoeLauncher.OpenMpi, OpenMpi));

    /// <summary>A port of the machine's would be one that its other users reach.</summary>
    [Theory]
    [InlineData(MoeLauncher.Torchrun, "LOCAL_WORLD_SIZE", "8")]
    [InlineData(MoeLauncher.Slurm, "SLURM_JOB_NUM_NODES", "1")]
    [InlineData(MoeLauncher.Slurm, "SLURM_STEP_NUM_NODES", "1")]
    [InlineData(MoeLauncher.OpenMpi, "PMIX_NAMESPACE", "job")]
    public void On_one_machine_they_meet_at_a_path_of_the_job_s(MoeLauncher launcher, string variable, string value)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "elsewhere they meet at a port");
        (string Name, string Value)[] given = Variables(launcher);
        string path = PathOf(Read(launcher, [(variable, value), .. given]));
        string other = PathOf(Read(launcher, [(variable, value), ("TORCHELASTIC_RUN_ID", "b"), ("SLURM_JOB_ID", "78"), ("PMIX_NAMESPACE", "other"), .. given]));

        Assert.Equal(path, PathOf(Read(launcher, [(variable, value), .. given])));
        Assert.StartsWith($"unix:{Path.GetTempPath()}", path, StringComparison.Ordinal);
        if (launcher != MoeLauncher.OpenMpi)
        {
            Assert.NotEqual(path, other);
        }

        foreach (MoeParallelOptions options in new MoeParallelOptions[] { new() { Address = "node9" }, new() { Address = "node9", Port = 4000 } })
        {
            options.Launcher = launcher;
            options.Tensor = 8;
            Assert.Equal("node9", LaunchedRank.Read(options, Setting, Get([(variable, value), .. given])).Address);
        }
    }

    /// <summary>Who names a port wants one.</summary>
    [Fact]
    public void A_port_that_is_named_is_met_at() =>
        Assert.Equal(
            ("localhost", 4000),
            (LaunchedRank.Read(new MoeParallelOptions { Launcher = MoeLauncher.OpenMpi, Tensor = 8, Port = 4000 }, Setting, Get(OpenMpi)) is var launched ? launched.Address : "", launched.Port));

    [Fact]
    public void What_the_options_name_counts_before_the_variables()
    {
        LaunchedRank launched = LaunchedRank.Read(
            new MoeParallelOptions { Launcher = MoeLauncher.OpenMpi, Tensor = 8, Address = "node9", Port = 4000 },
            Setting,
            Get([.. OpenMpi[..3], ("OMPI_COMM_WORLD_LOCAL_SIZE", "6")]));

        Assert.Equal(("node9", 4000), (launched.Address, launched.Port));
    }

    [Theory]
    [InlineData(MoeLauncher.Torchrun, "RANK", null, "is to have set the environment variable RANK, and it is not set")]
    [InlineData(MoeLauncher.Torchrun, "WORLD_SIZE", "", "environment variable WORLD_SIZE")]
    [InlineData(MoeLauncher.Torchrun, "MASTER_ADDR", null, "environment variable MASTER_ADDR")]
    [InlineData(MoeLauncher.Torchrun, "MASTER_PORT", "x", "has set MASTER_PORT to 'x'; 1 to 65534 is expected")]
    [InlineData(MoeLauncher.Torchrun, "RANK", "8", "has set RANK to '8'; 0 to 7 is expected")]
    [InlineData(MoeLauncher.Torchrun, "LOCAL_RANK", "4", "has set LOCAL_RANK to '4'; 0 to 3 is expected")]
    [InlineData(MoeLauncher.Torchrun, "RANK", "0", "has set LOCAL_RANK to 1 and RANK to 0")]
    [InlineData(MoeLauncher.Torchrun, "WORLD_SIZE", "6", "started 6 processes, and Tensor 4 × Expert 2 are 8 ranks")]
    [InlineData(MoeLauncher.Slurm, "SLURM_PROCID", null, "environment variable SLURM_PROCID")]
    [InlineData(MoeLauncher.Slurm, "SLURM_STEP_NODELIST", "[", "has set SLURM_STEP_NODELIST to '['")]
    [InlineData(MoeLauncher.OpenMpi, "OMPI_COMM_WORLD_LOCAL_SIZE", "6", "Address is expected")]
    [InlineData(MoeLauncher.OpenMpi, "OMPI_COMM_WORLD_SIZE", null, "environment variable OMPI_COMM_WORLD_SIZE")]
    public void What_is_missing_or_contradicts_is_named(MoeLauncher launcher, string variable, string? value, string words)
    {
        Func<string, string?> get = Get(Variables(launcher));

        MoeOptionsException error = Assert.Throws<MoeOptionsException>(
            () => LaunchedRank.Read(new MoeParallelOptions { Launcher = launcher, Tensor = 4, Expert = 2 }, Setting, name => name == variable ? value : get(name)));

        Assert.Equal([Setting], error.Keys);
        Assert.Contains($"is {launcher}, which ", error.Message, StringComparison.Ordinal);
        Assert.Contains(words, error.Message, StringComparison.Ordinal);
    }

    /// <summary>Where the options name the place, the launcher need not.</summary>
    [Theory]
    [InlineData(MoeLauncher.Torchrun, "MASTER_ADDR", null)]
    [InlineData(MoeLauncher.Slurm, "SLURM_STEP_NODELIST", "[")]
    public void What_the_options_say_is_not_asked_of_the_launcher(MoeLauncher launcher, string variable, string? value)
    {
        Func<string, string?> get = Get(Variables(launcher));
        var options = new MoeParallelOptions { Launcher = launcher, Tensor = 4, Expert = 2, Address = "node7", Port = 1234 };

        LaunchedRank rank = LaunchedRank.Read(options, Setting, name => name == variable ? value : get(name));

        Assert.Equal(("node7", 1234), (rank.Address, rank.Port));
    }

    [Theory]
    [InlineData("a1", "a1")]
    [InlineData("a1,b2", "a1")]
    [InlineData("n[01-04,07]", "n01")]
    [InlineData("n[07,09],m3", "n07")]
    [InlineData("n[3]", "n3")]
    [InlineData("a1,n[01-04]", "a1")]
    [InlineData("rack[1-2]node[05-08]", "rack1node05")]
    [InlineData("n[01-02].cluster,x", "n01.cluster")]
    [InlineData("", null)]
    [InlineData("n[01", null)]
    [InlineData("n[]", null)]
    public void The_first_machine_of_a_list_is_found(string list, string? first) => Assert.Equal(first, LaunchedRank.FirstOf(list));

    private static (string Name, string Value)[] Variables(MoeLauncher launcher) =>
        launcher switch { MoeLauncher.Torchrun => Torchrun, MoeLauncher.Slurm => Slurm, _ => OpenMpi };

    // Of the user and the job: a socket's path, or where there is none the machine itself.
    private static string PathOf(LaunchedRank launched)
    {
        Assert.True(OperatingSystem.IsLinux() ? launched.Address.StartsWith("unix:", StringComparison.Ordinal) : launched.Address == "localhost", launched.Address);
        return launched.Address;
    }

    private static LaunchedRank Read(MoeLauncher launcher, (string, string)[] variables) =>
        LaunchedRank.Read(new MoeParallelOptions { Launcher = launcher, Tensor = 4, Expert = 2 }, Setting, Get(variables));

    private static Func<string, string?> Get((string Name, string Value)[] variables) =>
        name => variables.FirstOrDefault(variable => variable.Name == name).Value;
}
