using System.Diagnostics;
using System.Globalization;

namespace Moe.Plugins.Tests;

/// <summary>
/// Ranks that are processes, of which one is killed again and again: the others hear of it soon, and go on in a new group with whoever takes its
/// place. Each process is a test of this program that was started by another one.
/// </summary>
internal static class KilledRanks
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    /// <summary>Starts ranks, kills one after another at random moments, and lets the last ones end well.</summary>
    /// <param name="test">The method that calls <see cref="BeRank"/> in a process of its own.</param>
    /// <param name="ranks">Ranks.</param>
    /// <param name="kills">How many die.</param>
    /// <param name="seed">Of the moments.</param>
    /// <param name="environment">Variables of the processes.</param>
    public static void Kill(string test, int ranks, int kills, int seed, params (string Name, string Value)[] environment)
    {
        var random = new Random(seed);
        int port = FreePort.Find();
        string folder = Directory.CreateTempSubdirectory("moe-ranks").FullName;
        Process?[] processes = [.. Enumerable.Range(0, ranks).Select(rank => Start(rank, firstRound: 0))];
        try
        {
            for (int round = 0; round < kills; round++)
            {
                // All are at work.
                WaitFor(() => Enumerable.Range(0, ranks).All(rank => File.Exists(Path.Combine(folder, $"{round}.{rank}.works"))), $"all ranks at work in round {round}");
                Thread.Sleep(random.Next(100));
                int victim = random.Next(ranks);
                long start = Stopwatch.GetTimestamp();
                processes[victim]!.Kill();
                processes[victim]!.WaitForExit();
                processes[victim]!.Dispose();
                processes[victim] = null;
                foreach (int rank in Enumerable.Range(0, ranks).Where(rank => rank != victim))
                {
                    string file = Path.Combine(folder, $"{round}.{rank}.failed");
                    WaitFor(() => File.Exists(file) && File.ReadAllText(file).EndsWith('\n'), $"rank {rank} to hear of the death of rank {victim} in round {round}");
                    string heard = File.ReadAllText(file);
                    Assert.StartsWith($"{MoeReason.PeerFailed}: The process of rank {victim}", heard, StringComparison.Ordinal);
                }

                TestContext.Current.TestOutputHelper?.WriteLine($"round {round}: rank {victim}, heard after {Stopwatch.GetElapsedTime(start).TotalMilliseconds:0} ms");
                processes[victim] = Start(victim, round + 1);
            }

            WaitFor(() => Enumerable.Range(0, ranks).All(rank => File.Exists(Path.Combine(folder, $"{kills}.{rank}.works"))), "all ranks at work at the end");
            File.WriteAllText(Path.Combine(folder, "stop"), "");
            foreach (Process? process in processes)
            {
                Assert.True(process!.WaitForExit(Patience), "a rank does not end");
                Assert.Equal(0, process.ExitCode);
            }
        }
        finally
        {
            foreach (Process process in processes.OfType<Process>())
            {
                try
                {
                    process.Kill();
                }
                catch (InvalidOperationException)
                {
                    // It has ended.
                }

                process.Dispose();
            }

            Directory.Delete(folder, recursive: true);
        }

        Process Start(int rank, int firstRound) => OwnProcess.Start(
            test,
            string.Create(CultureInfo.InvariantCulture, $"{rank} {ranks} {port} {firstRound} {folder}"),
            [.. environment, ("MOE_RANK", $"{rank}")]);

        void WaitFor(Func<bool> condition, string what)
        {
            long start = Stopwatch.GetTimestamp();
            while (!condition())
            {
                int ended = Array.FindIndex(processes, process => process is { HasExited: true });
                Assert.True(ended < 0, $"waited for {what}, and rank {ended} has ended: {(ended < 0 ? "" : processes[ended]!.StandardOutput.ReadToEnd())}");
                Assert.True(Stopwatch.GetElapsedTime(start) < Patience, $"waited for {what}");
                Thread.Sleep(5);
            }
        }
    }

    /// <summary>What such a process does: sums with the others until one of them dies, and again, until it is told to stop.</summary>
    /// <param name="told">What it was told.</param>
    /// <param name="createGroup">Makes its end of a group.</param>
    /// <param name="check">What else is to be right after each failure.</param>
    public static void BeRank(string told, Func<IMoeRendezvous, IMoeGroup> createGroup, Action? check = null)
    {
        string[] parts = told.Split(' ', 5);
        int[] numbers = [.. parts[..4].Select(part => int.Parse(part, CultureInfo.InvariantCulture))];
        (int rank, int count, int port, string folder) = (numbers[0], numbers[1], numbers[2], parts[4]);
        for (int round = numbers[3]; ; round++)
        {
            using var rendezvous = MoeRendezvous.Join(new MoeRendezvousOptions { Address = "localhost", Port = port, Rank = rank, Count = count, Timeout = Patience });
            using IMoeGroup group = createGroup(rendezvous);
            IMoeCommunicator member = group.Members.Single();
            try
            {
                GroupLoadTests.SumAgainAndAgain(member, 3, seed: round);
                File.WriteAllText(Path.Combine(folder, $"{round}.{rank}.works"), "");
                for (int i = 0; ; i++)
                {
                    // All stop at the same call: that rank 0 has seen the file is exchanged.
                    byte stop = rank == 0 && File.Exists(Path.Combine(folder, "stop")) ? (byte)1 : (byte)0;
                    if (rendezvous.Exchange("whether it is over", new[] { stop }, Patience)[0].Span[0] == 1)
                    {
                        return;
                    }

                    GroupLoadTests.SumAgainAndAgain(member, 5, seed: i);
                }
            }
            catch (MoeException exception)
            {
                string partial = Path.Combine(folder, $"{round}.{rank}.failing");
                File.WriteAllText(partial, $"{exception.Reason}: {(exception.InnerException ?? exception).Message}\n");
                File.Move(partial, Path.ChangeExtension(partial, "failed"));
                check?.Invoke();
            }
        }
    }
}
