using System.Globalization;
using System.Runtime.InteropServices;

namespace Moe.Plugins.Cpu;

/// <summary>
/// The processors that this process may use, by NUMA node: each node has memory of its own, which is slower to read from the others. Only Linux is
/// asked (<c>/sys/devices/system/node</c>); elsewhere, and where there is one node, threads stay free.
/// </summary>
internal sealed unsafe partial class CpuNodes
{
    /// <summary>Words of 64 processors that are asked for.</summary>
    private const int MaskWords = 128;

    private const string Folder = "/sys/devices/system/node";

    private readonly int[][] _processors;

    /// <param name="processors">The processors of each node.</param>
    public CpuNodes(params int[][] processors) => _processors = processors;

    /// <summary>Those of this machine.</summary>
    public static CpuNodes Machine { get; } = new(OperatingSystem.IsLinux() ? Read(Folder, Allowed()) : [[0]]);

    /// <summary>The nodes that a text tells, such as <c>0-31,64-95;32-63,96-127</c>; null where it tells none.</summary>
    public static CpuNodes? Parse(string text)
    {
        int[]?[] nodes = [.. text.Split(';').Select(ParseList)];
        return nodes.Any(static node => node is null or []) ? null : new CpuNodes(nodes!);
    }

    /// <summary>How many there are.</summary>
    public int Count => _processors.Length;

    /// <summary>Reads the nodes' processors out of Linux's files.</summary>
    /// <param name="folder">Has a folder for each node.</param>
    /// <param name="allowed">Whether this process may use a processor. Nodes without any are left out.</param>
    public static int[][] Read(string folder, Func<int, bool> allowed)
    {
        if (!Directory.Exists(folder))
        {
            return [[0]];
        }

        int[][] nodes =
        [
            .. Directory.EnumerateDirectories(folder, "node*")
                .Select(node => Path.Combine(node, "cpulist"))
                .Where(File.Exists)
                .Order(StringComparer.Ordinal)
                .Select(file => (ParseList(File.ReadAllText(file).Trim()) ?? []).Where(allowed).ToArray())
                .Where(processors => processors.Length > 0),
        ];
        return nodes.Length == 0 ? [[0]] : nodes;
    }

    /// <summary>The node of each of some threads: as many as its processors' share.</summary>
    public int[] Deal(int threads)
    {
        int[] dealt = new int[Count], nodes = new int[threads];
        for (int thread = 0; thread < threads; thread++)
        {
            int least = 0;
            for (int node = 1; node < Count; node++)
            {
                if ((dealt[node] + 1L) * _processors[least].Length < (dealt[least] + 1L) * _processors[node].Length)
                {
                    least = node;
                }
            }

            dealt[least]++;
            nodes[thread] = least;
        }

        return nodes;
    }

    /// <summary>Keeps the calling thread on a node's processors; where the system refuses, it stays free.</summary>
    public void Stay(int node)
    {
        if (Count == 1 || !OperatingSystem.IsLinux())
        {
            return;
        }

        ulong* mask = stackalloc ulong[MaskWords];
        new Span<ulong>(mask, MaskWords).Clear();
        foreach (int processor in _processors[node])
        {
            mask[processor / 64] |= 1UL << (processor % 64);
        }

        _ = SetAffinity(0, MaskWords * sizeof(ulong), mask);
    }

    /// <summary>The node that the calling thread runs on now.</summary>
    public int Current()
    {
        if (Count > 1 && OperatingSystem.IsLinux())
        {
            int processor = CurrentProcessor();
            for (int node = 0; node < Count; node++)
            {
                if (Array.IndexOf(_processors[node], processor) >= 0)
                {
                    return node;
                }
            }
        }

        return 0;
    }

    private static Func<int, bool> Allowed()
    {
        ulong[] mask = new ulong[MaskWords];
        fixed (ulong* words = mask)
        {
            return GetAffinity(0, MaskWords * sizeof(ulong), words) < 0 ? static _ => true : processor => (mask[processor / 64] >> (processor % 64) & 1) != 0;
        }
    }

    // Such as 0-3,8,10-11 (cpuset(7), "List format"); null where it is none.
    private static int[]? ParseList(string list)
    {
        List<int> processors = [];
        foreach (string range in list.Split(',', StringSplitOptions.RemoveEmptyEntries))
        {
            string[] ends = range.Split('-');
            if (ends.Length > 2
                || !int.TryParse(ends[0], NumberStyles.None, CultureInfo.InvariantCulture, out int first)
                || !int.TryParse(ends[^1], NumberStyles.None, CultureInfo.InvariantCulture, out int last)
                || last < first
                || last >= MaskWords * 64)
            {
                return null;
            }

            processors.AddRange(Enumerable.Range(first, last - first + 1));
        }

        return [.. processors];
    }

    [LibraryImport("libc", EntryPoint = "sched_setaffinity")]
    private static partial int SetAffinity(int thread, nuint byteCount, ulong* mask);

    [LibraryImport("libc", EntryPoint = "sched_getaffinity")]
    private static partial int GetAffinity(int thread, nuint byteCount, ulong* mask);

    [LibraryImport("libc", EntryPoint = "sched_getcpu")]
    private static partial int CurrentProcessor();
}
