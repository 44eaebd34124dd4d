using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Microsoft.Extensions.Time.Testing;

namespace Moe.Plugins.Cpu.Tests;

/// <summary>NUMA nodes: who belongs to which, who takes which units, and where memory is.</summary>
public sealed partial class CpuNodesTests
{
    /// <summary><c>move_pages</c>(2), which only tells where pages are if no nodes are given.</summary>
    private static readonly nint MovePages = RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? 239 : 279;

    [Fact]
    public void Nodes_are_read_as_Linux_writes_them()
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("moe-nodes-");
        try
        {
            foreach ((string node, string list) in new[] { ("node0", "0-2,8\n"), ("node1", "4-6\n"), ("node2", "\n"), ("node3", "7\n") })
            {
                folder.CreateSubdirectory(node);
                File.WriteAllText(Path.Combine(folder.FullName, node, "cpulist"), list);
            }

            // Memory without processors (2), and processors that the process may not use (3), are no node to work on.
            Assert.Equal([[0, 1, 2, 8], [4, 6]], CpuNodes.Read(folder.FullName, static processor => processor is not 5 and not 7));
            Assert.Equal([[0]], CpuNodes.Read(folder.FullName, static _ => false));
            Assert.Equal([[0]], CpuNodes.Read(Path.Combine(folder.FullName, "none"), static _ => true));
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Fact]
    public void Threads_are_dealt_as_processors_are()
    {
        Assert.Equal([0, 1, 0, 1, 0], new CpuNodes([0, 1], [2, 3]).Deal(5));
        Assert.Equal([1, 1, 0, 1, 1, 1, 0, 1], new CpuNodes([0], [1, 2, 3]).Deal(8));
        Assert.Equal([0], new CpuNodes([0], [1]).Deal(1));
    }

    [Fact]
    public void Work_is_cut_as_threads_are()
    {
        using var even = new CpuTeam(4, time: null, new CpuNodes([0], [1]));
        Assert.Equal([0, 88, 180], even.Cut(180, 4));
        Assert.Equal([0, 0, 3], even.Cut(3, 4));
        using var uneven = new CpuTeam(8, time: null, new CpuNodes([0], [0, 1, 1]));
        Assert.Equal([0, 16, 64], uneven.Cut(64));
        using var alone = new CpuTeam(1, time: null, new CpuNodes([0], [1]));
        Assert.Equal([0, 64, 64], alone.Cut(64));
    }

    /// <summary>A node's units are taken by its own threads until there are none, in order; then they help the other node.</summary>
    [Fact]
    public void Threads_take_their_nodes_units_first_and_then_others()
    {
        const int Units = 40;

        // The caller is nowhere to be found on these nodes, and so counts as the first one's. Time that stands still lets nobody think that sharing costs.
        using var team = new CpuTeam(2, new FakeTimeProvider(), new CpuNodes([8000], [8001]));
        for (int round = 0; round < 50; round++)
        {
            ConcurrentQueue<int>[] taken = [new(), new()];
            using var both = new Barrier(2);
            int slow = round % 2;
            team.Run(
                new Work((unit, worker) =>
                {
                    taken[worker].Enqueue(unit);
                    if (taken[worker].Count == 1)
                    {
                        Assert.True(both.SignalAndWait(TimeSpan.FromMinutes(1), TestContext.Current.CancellationToken), "The work is not shared.");
                    }
                    else if (worker == slow)
                    {
                        Thread.Sleep(1);
                    }
                }),
                phase: 0,
                [Units, Units]);
            Assert.Equal(Enumerable.Range(0, 2 * Units), taken[0].Concat(taken[1]).Order());
            for (int worker = 0; worker < 2; worker++)
            {
                int own = taken[worker].TakeWhile(unit => unit / Units == worker).Count();
                Assert.InRange(own, 1, Units);
                Assert.All(taken[worker].Skip(own), unit => Assert.NotEqual(worker, unit / Units));
                Assert.Equal(Enumerable.Range(worker * Units, own), taken[worker].Take(own));
            }
        }
    }

    [Fact]
    public void Memory_is_touched_from_end_to_end()
    {
        using var team = new CpuTeam(3, time: null, new CpuNodes([0], [1]));
        using var memory = new NativeBuffer(300 * 4096);
        Span<byte> bytes = Bytes(memory);
        bytes.Fill(1);
        team.Place(memory, team.Cut(300), 4096);
        for (int page = 0; page < bytes.Length; page += Environment.SystemPageSize)
        {
            Assert.Equal(0, bytes[page]);
        }
    }

    [Fact]
    public unsafe void Each_node_has_its_part_of_the_memory()
    {
        Assert.SkipUnless(CpuNodes.Machine.Count > 1, "this machine has one NUMA node");
        const int Pages = 4096;
        using var team = new CpuTeam(2 * CpuNodes.Machine.Count);
        using var memory = new NativeBuffer((long)Pages * Environment.SystemPageSize);
        int[] firsts = team.Cut(Pages);
        team.Place(memory, firsts, Environment.SystemPageSize);

        // The nodes' own numbers may have gaps: each part is on one node, and no two are on the same. Pages at a border may be part of a large one.
        nint[] pages = [.. Enumerable.Range(0, Pages).Select(page => (nint)memory.Pointer<byte>() + ((nint)page * Environment.SystemPageSize))];
        int[] nodes = new int[Pages];
        fixed (nint* addresses = pages)
        fixed (int* states = nodes)
        {
            Assert.Equal(0, Call(MovePages, 0, Pages, (nint)addresses, 0, (nint)states, 0));
        }

        int[] most = [.. firsts.Skip(1).Zip(firsts, (end, first) => nodes[first..end].GroupBy(node => node).MaxBy(group => group.Count())!.Key)];
        Assert.Equal(most.Length, most.Distinct().Count());
    }

    private static unsafe Span<byte> Bytes(NativeBuffer buffer) => new(buffer.Pointer<byte>(), (int)buffer.ByteCount);

    [LibraryImport("libc", EntryPoint = "syscall")]
    private static partial nint Call(nint number, nint process, nint count, nint pages, nint nodes, nint states, nint flags);

    private sealed class Work(Action<int, int> action) : ICpuWork
    {
        public void Do(int phase, int unit, int worker) => action(unit, worker);
    }
}
