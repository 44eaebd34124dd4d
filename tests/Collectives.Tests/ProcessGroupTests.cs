using System.Diagnostics;
using System.Globalization;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Collectives.Tests;

/// <summary>Ranks that are processes: over peer memory that one process opens of another, and over NCCL. Each rank is this program, started again.</summary>
[Collection(Alone.Name)]
public sealed class ProcessGroupTests
{
    private const int Width = 2880;
    private const int MaxTokens = 300;

    /// <summary>Other rows every time: one, fewer than ranks, and as many as each way takes.</summary>
    private static readonly int[] Batches = [1, 3, 64, 0, 7, MaxTokens, 2, 130, 1];

    private static int DeviceCount => CollectivesHost.Devices(8).Distinct().Count();

    [Theory]
    [InlineData("PeerMemory", 2)]
    [InlineData("PeerMemory", 4)]
    [InlineData("PeerMemory", 8)]
    [InlineData("Nccl", 2)]
    [InlineData("Nccl", 4)]
    public void Ranks_in_processes_sum(string transport, int ranks) => Start(
        nameof(Ranks_in_processes_sum),
        transport,
        ranks,
        (group, rendezvous) =>
        {
            // Ranks that share a device take turns of milliseconds.
            GroupLoadTests.SumAgainAndAgain(group(transport, rendezvous, GroupLoadTests.Width, GroupLoadTests.MaxTokens, MoeElementType.Float32), ranks > DeviceCount ? 10 : 300, seed: 5);
        });

    [Theory]
    [InlineData(2)]
    [InlineData(4)]
    public void Peer_memory_gives_what_nccl_gives(int ranks) => Start(
        nameof(Peer_memory_gives_what_nccl_gives),
        "Nccl",
        ranks,
        (group, rendezvous) =>
        {
            byte[][] peers = Reduce(group("PeerMemory", rendezvous, Width, MaxTokens, MoeElementType.BFloat16));
            byte[][] ncclS = Reduce(group("Nccl", null, Width, MaxTokens, MoeElementType.BFloat16));
            for (int i = 0; i < peers.Length; i++)
            {
                // Whole numbers: every order of adding gives the same bits, and the norm behind them is the same arithmetic.
                Assert.True(peers[i].AsSpan().SequenceEqual(ncclS[i]), $"result {i} of {Batches[i / 2]} rows differs from byte {peers[i].AsSpan().CommonPrefixLength(ncclS[i])} on");
            }
        });

    [Theory]
    [InlineData("PeerMemory")]
    [InlineData("Nccl")]
    public void A_rank_that_is_killed_ends_its_group_and_another_takes_its_place(string transport)
    {
        int ranks = Math.Max(2, Math.Min(4, DeviceCount));
        Assert.SkipWhen(transport == "Nccl" && DeviceCount < 2, "NCCL needs a device for each rank");
        const string Test = nameof(A_rank_that_is_killed_ends_its_group_and_another_takes_its_place);
        if (OwnProcess.Told is { } told)
        {
            if (Environment.GetEnvironmentVariable("MOE_TEST_TRANSPORT") == transport)
            {
                MoeHost host = CollectivesHost.Create(("Transport", transport));
                KilledRanks.BeRank(told, rendezvous => host.CreateGroup(Request(rendezvous, GroupLoadTests.Width, GroupLoadTests.MaxTokens, MoeElementType.Float32), CollectivesHost.Id));
            }

            return;
        }

        KilledRanks.Kill(Test, ranks, GroupLoadTests.Kills, seed: 3, ("MOE_TEST_TRANSPORT", transport));
    }

    private static MoeGroupRequest Request(IMoeRendezvous rendezvous, int width, int maxTokens, MoeElementType type) => new()
    {
        Devices = [.. Enumerable.Repeat(MoeDevice.Cuda(rendezvous.Rank % DeviceCount), rendezvous.Count)],
        MaxTokens = maxTokens,
        Width = width,
        ElementType = type,
        Timeout = TimeSpan.FromSeconds(20),
        Rendezvous = rendezvous,
    };

    /// <summary>Starts the ranks of a test, or is one of them.</summary>
    private static void Start(
        string test, string transport, int ranks, Action<Func<string, IMoeRendezvous?, int, int, MoeElementType, IMoeCommunicator>, IMoeRendezvous> work)
    {
        Assert.SkipWhen(transport == "Nccl" && DeviceCount < ranks, $"NCCL needs a device for each of {ranks} ranks");
        string name = $"{transport} {ranks}";
        if (OwnProcess.Told is not { } told)
        {
            string told0 = $"{name} {FreePort.Find()} {FreePort.Find()}";
            Process[] processes = [.. Enumerable.Range(0, ranks).Select(rank => OwnProcess.Start(test, $"{told0} {rank}"))];
            string[] outputs = [.. processes.Select(process => process.StandardOutput.ReadToEnd())];
            for (int rank = 0; rank < ranks; rank++)
            {
                processes[rank].WaitForExit();
                Assert.True(processes[rank].ExitCode == 0, $"rank {rank}: {outputs[rank]}");
                processes[rank].Dispose();
            }

            return;
        }

        string[] parts = told.Split(' ');
        if (told.StartsWith($"{name} ", StringComparison.Ordinal))
        {
            int rank = int.Parse(parts[4], CultureInfo.InvariantCulture);
            var open = new List<IDisposable>();
            try
            {
                MoeRendezvous rendezvous = Join(parts[2]);
                work(
                    (of, at, width, maxTokens, type) =>
                    {
                        MoeHost host = CollectivesHost.Create(("Transport", of));
                        IMoeGroup group = host.CreateGroup(Request(at ?? Join(parts[3]), width, maxTokens, type), CollectivesHost.Id);
                        open.Add(group);
                        return group.Members.Single();
                    },
                    rendezvous);
            }
            finally
            {
                open.ForEach(item => item.Dispose());
            }

            MoeRendezvous Join(string port)
            {
                var joined = MoeRendezvous.Join(
                    new MoeRendezvousOptions { Address = "localhost", Port = int.Parse(port, CultureInfo.InvariantCulture), Rank = rank, Count = ranks });
                open.Add(joined);
                return joined;
            }
        }
    }

    // Whole numbers that BF16 holds, as their sums.
    private static byte[][] Reduce(IMoeCommunicator member)
    {
        IMoeMemory memory = member.Memory;
        using var output = new MoeBuffer(memory, MoeElementType.BFloat16, MaxTokens, Width);
        using var residual = new MoeBuffer(memory, MoeElementType.BFloat16, MaxTokens, Width);
        using var sums = new MoeBuffer(memory, MoeElementType.BFloat16, MaxTokens, Width);
        using var weight = new MoeBuffer(memory, MoeElementType.BFloat16, 1, Width);
        using MoeBuffer host = MoeBuffer.OnHost(MoeElementType.BFloat16, MaxTokens, Width);
        nint stream = memory.CreateStream();
        var results = new List<byte[]>();
        Fill(residual.View.Address, MaxTokens, 101);
        Fill(weight.View.Address, 1, 102);
        foreach (int rows in Batches)
        {
            MoePartial partial = member.LendPartial(rows);
            if (rows > 0)
            {
                Fill(partial.View.Address, rows, member.Rank);
            }

            member.ReduceAddNorm(new MoeReduceAddNormArguments
            {
                Partial = partial,
                AddNorm = new MoeAddNorm
                {
                    NormWeight = weight.View,
                    Epsilon = 1e-5f,
                    Residual = residual.View.FirstRows(rows),
                    ResidualOutput = sums.View.FirstRows(rows),
                },
                Output = output.View.FirstRows(rows),
                Stream = stream,
            });
            results.Add(Read(output, rows));
            results.Add(Read(sums, rows));
        }

        memory.DestroyStream(stream);
        return [.. results];

        unsafe void Fill(nint address, int rows, int seed)
        {
            var values = new Span<ushort>((void*)host.View.Address, rows * Width);
            for (int i = 0; i < values.Length; i++)
            {
                values[i] = MoeBFloat16.FromSingle(((i * 7) + (i / Width * 3) + (seed * 5)) % 11 - 5);
            }

            memory.CopyIn(address, host.View.Address, rows * host.View.RowBytes, stream);
            memory.Synchronize(stream);
        }

        unsafe byte[] Read(MoeBuffer of, int rows)
        {
            if (rows > 0)
            {
                memory.CopyOut(host.View.Address, of.View.Address, rows * host.View.RowBytes, stream);
            }

            memory.Synchronize(stream);
            if (member.Failure is { } failure)
            {
                throw new MoeException(failure.Reason, failure.Message, failure);
            }

            return new ReadOnlySpan<byte>((void*)host.View.Address, rows * (int)host.View.RowBytes).ToArray();
        }
    }
}
