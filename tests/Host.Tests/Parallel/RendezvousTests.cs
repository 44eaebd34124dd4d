using System.Net;
using System.Net.Sockets;
using System.Text;
using Microsoft.Extensions.Time.Testing;

namespace Moe.Plugins.Tests;

/// <summary>Processes that meet, here as threads of one: they know each other by the network alone.</summary>
public sealed class RendezvousTests
{
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(30);

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(5)]
    public void Everybody_gets_everybody_s_bytes(int count)
    {
        string[][] got = new string[count][];
        RunWell(count, Options(count), (rendezvous, rank) =>
        {
            for (int round = 0; round < 20; round++)
            {
                got[rank] = [.. rendezvous.Exchange("names", Encoding.UTF8.GetBytes(new string((char)('a' + rank), round * 700)), Long).Select(bytes => Encoding.UTF8.GetString(bytes.Span))];
                Assert.Equal(Enumerable.Range(0, count).Select(other => new string((char)('a' + other), round * 700)), got[rank]);
            }

            Assert.True(rendezvous.Leave(Long));
        });
    }

    [Theory]
    [InlineData("127.0.0.1")]
    [InlineData("127.0.0.2")]
    [InlineData("::1")]
    public void They_meet_at_an_address_of_the_machine_s_own(string address)
    {
        var known = IPAddress.Parse(address);
        using var socket = new Socket(known.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        Assert.SkipUnless(Record.Exception(() => socket.Bind(new IPEndPoint(known, 0))) is null, $"there is no {address} here");
        RunWell(2, Options(2) with { Address = address }, (rendezvous, _) => rendezvous.Exchange("start", default, Long));
    }

    [Fact]
    public void Messages_reach_the_others_in_order()
    {
        var heard = new List<(int From, byte Number)>[3];
        RunWell(3, Options(3), (rendezvous, rank) =>
        {
            heard[rank] = [];
            rendezvous.Received += (from, bytes) =>
            {
                lock (heard[rank])
                {
                    heard[rank].Add((from, bytes.Span[0]));
                }
            };
            rendezvous.Exchange("start", default, Long);
            for (byte i = 0; i < 50; i++)
            {
                rendezvous.Send(new byte[] { i });
            }

            // Behind the messages of all.
            rendezvous.Exchange("end", default, Long);
            lock (heard[rank])
            {
                foreach (int from in Enumerable.Range(0, 3))
                {
                    Assert.Equal(from == rank ? [] : Enumerable.Range(0, 50).Select(i => (byte)i), heard[rank].Where(message => message.From == from).Select(message => message.Number));
                }
            }
        });
    }

    [Fact]
    public void Whoever_does_not_come_is_named()
    {
        var clock = new FakeTimeProvider();
        MoeRendezvousOptions options = Options(3) with { Clock = clock, Timeout = TimeSpan.FromSeconds(20) };
        Exception?[] errors = Run(2, options, (_, _) => { }, clock);

        Assert.All(errors, error => Assert.Equal(MoeReason.TimedOut, Assert.IsType<MoeException>(error).Reason));
        Assert.Contains(errors, error => error!.Message.Contains("2 did not come within 20 s", StringComparison.Ordinal));
    }

    [Fact]
    public void Whoever_does_not_exchange_is_named()
    {
        var clock = new FakeTimeProvider();
        Exception?[] errors = Run(
            3,
            Options(3) with { Clock = clock, Timeout = TimeSpan.FromDays(1) },
            (rendezvous, rank) =>
            {
                if (rank == 1)
                {
                    SpinWait.SpinUntil(() => rendezvous.Failure is not null);
                }

                // Of the clock's seconds, which pass fifty times as fast: long enough for a busy machine to let rank 2 come.
                rendezvous.Exchange("plans", default, TimeSpan.FromSeconds(100));
            },
            clock);

        Assert.All(errors, error =>
        {
            MoeException failure = Assert.IsType<MoeException>(error);
            Assert.Equal(MoeReason.TimedOut, failure.Reason);
            Assert.Contains("1 did not come within 100 s to plans, which rank", failure.Message, StringComparison.Ordinal);
        });
    }

    [Fact]
    public void A_rank_0_that_stands_still_is_not_waited_for_forever()
    {
        // Takes who comes in, says that all are there, and then nothing any more.
        var hub = new TcpListener(IPAddress.Loopback, 0);
        hub.Start();
        int port = ((IPEndPoint)hub.LocalEndpoint).Port;
        var clock = new FakeTimeProvider();
        Exception? error = null;
        var rank = new Thread(() => error = Record.Exception(() =>
        {
            using MoeRendezvous rendezvous = MoeRendezvous.Join(Options(2) with { Port = port, Rank = 1, Clock = clock });
            rendezvous.Exchange("sums", default, TimeSpan.FromSeconds(2));
        }));
        rank.Start();
        using TcpClient guest = hub.AcceptTcpClient();
        guest.GetStream().Write([0, 0, 0, 0, (byte)FrameKind.Welcome, 0, 0, 0, 0]);
        while (!rank.Join(20))
        {
            clock.Advance(TimeSpan.FromSeconds(1));
        }

        hub.Stop();
        MoeException failure = Assert.IsType<MoeException>(error);
        Assert.Equal(MoeReason.TimedOut, failure.Reason);
        Assert.Contains("Rank 0, through which the ranks meet, does not answer at sums.", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Who_is_elsewhere_in_the_program_is_named() =>
        AssertEnd(Run(2, Options(2), (rendezvous, rank) => rendezvous.Exchange(rank == 0 ? "layers" : "groups", default, Long)), MoeReason.ContractBroken, "Rank 1 is at groups, and rank 0 at layers", "Rank 0 is at layers, and rank 1 at groups");

    [Fact]
    public void Who_leaves_early_is_named() =>
        AssertEnd(
            Run(3, Options(3), (rendezvous, rank) =>
            {
                if (rank == 2)
                {
                    rendezvous.Leave(TimeSpan.Zero);
                    return;
                }

                rendezvous.Exchange("sums", default, Long);
            })[..2],
            MoeReason.PeerFailed,
            "Rank 2 has left the group");

    [Fact]
    public void Who_ends_it_is_heard_by_all_and_the_event_comes_once()
    {
        int ended = 0;
        Exception?[] errors = Run(3, Options(3), (rendezvous, rank) =>
        {
            rendezvous.Ended += _ => Interlocked.Increment(ref ended);
            rendezvous.Exchange("start", default, Long);
            if (rank == 1)
            {
                rendezvous.Abort(MoeReason.PeerFailed, "Rank 1 has no memory left.");
                rendezvous.Abort(MoeReason.PeerFailed, "Again.");
            }

            rendezvous.Exchange("sums", default, Long);
        });

        AssertEnd(errors, MoeReason.PeerFailed, "Rank 1 has no memory left.");
        SpinWait.SpinUntil(() => Volatile.Read(ref ended) == 3, Long);
        Assert.Equal(3, ended);
    }

    [Fact]
    public void Who_leaves_as_soon_as_it_is_ended_has_told_the_others() =>
        Assert.All(Enumerable.Range(0, 5), _ => AssertEnd(
            Run(2, Options(2), (rendezvous, rank) =>
            {
                if (rank == 1)
                {
                    var leaving = new Thread(() =>
                    {
                        while (rendezvous.Failure is null)
                        {
                        }

                        rendezvous.Dispose();
                    });
                    leaving.Start();
                    rendezvous.Abort(MoeReason.PeerFailed, "Rank 1 has no memory left.");
                    leaving.Join();
                }

                rendezvous.Exchange("sums", default, TimeSpan.FromSeconds(5));
            }),
            MoeReason.PeerFailed,
            "Rank 1 has no memory left."));

    [Fact]
    public void The_event_comes_when_all_know()
    {
        bool hasHeard = false;
        int early = 0;
        EndWhileRank2HearsNothing(
            new FakeTimeProvider(),
            hears => Volatile.Write(ref hasHeard, hears),
            _ => Interlocked.Add(ref early, Volatile.Read(ref hasHeard) ? 0 : 1),
            mayHear =>
            {
                // All the others know by now, and would raise it if they waited for nobody.
                Thread.Sleep(50);
                mayHear.Set();
            });

        Assert.Equal(0, early);
    }

    [Fact]
    public void Who_does_not_hear_of_the_end_is_not_waited_for_forever()
    {
        var clock = new FakeTimeProvider();
        using var have = new CountdownEvent(2);
        EndWhileRank2HearsNothing(
            clock,
            _ => { },
            rank =>
            {
                if (rank != 2)
                {
                    have.Signal();
                }
            },
            mayHear =>
            {
                Assert.True(SpinWait.SpinUntil(
                    () =>
                    {
                        clock.Advance(TimeSpan.FromSeconds(1));
                        return have.IsSet;
                    },
                    Long));
                mayHear.Set();
            });
    }

    /// <summary>It comes on a thread of the rendezvous', where an exception would be the process's end.</summary>
    [Fact]
    public void Who_fails_at_a_message_ends_it_and_not_the_process() =>
        AssertEnd(
            Run(2, Options(2), (rendezvous, rank) =>
            {
                rendezvous.Received += (_, _) => throw new NotSupportedException("no messages here");
                rendezvous.Exchange("start", default, Long);
                if (rank == 0)
                {
                    rendezvous.Send(new byte[1]);
                }

                SpinWait.SpinUntil(() => rendezvous.Failure is not null, Long);
                rendezvous.Exchange("end", default, Long);
            }),
            MoeReason.PeerFailed,
            "Rank 1 failed at a message of rank 0: NotSupportedException: no messages here");

    [Fact]
    public void Longer_than_a_timer_goes_nobody_waits() => RunWell(1, Options(1), (rendezvous, _) =>
    {
        Assert.Throws<ArgumentOutOfRangeException>("timeout", () => rendezvous.Exchange("start", default, TimeSpan.MaxValue));
        Assert.Throws<ArgumentOutOfRangeException>("timeout", () => rendezvous.Exchange("start", default, TimeSpan.FromTicks(-1)));
        Assert.Single(rendezvous.Exchange("start", default, TimeSpan.FromDays(30)));
    });

    [Fact]
    public void Other_numbers_of_ranks_are_found_out()
    {
        MoeRendezvousOptions options = Options(2);
        AssertEnd(Run(2, options, (_, _) => { }, each: (of, rank) => of with { Count = 2 + rank }), MoeReason.Configuration, "Rank 1 says that there are 3 ranks, and rank 0 2");
    }

    [Fact]
    public void A_rank_that_comes_twice_is_found_out()
    {
        Exception?[] errors = Run(3, Options(3), (_, _) => { }, each: (of, rank) => of with { Rank = Math.Min(rank, 1) });
        Assert.Contains(errors, error => error!.Message.Contains("Two processes say that they are rank 1", StringComparison.Ordinal));
    }

    [Fact]
    public void Another_job_s_process_is_refused_and_the_others_go_on()
    {
        MoeRendezvousOptions options = Options(2) with { Job = "mine" };
        Exception? stranger = null;
        Exception?[] errors = Run(
            2,
            options,
            (rendezvous, _) => rendezvous.Exchange("start", default, Long),
            each: (of, rank) =>
            {
                if (rank == 1)
                {
                    stranger = Record.Exception(() => MoeRendezvous.Join(options with { Rank = 1, Job = "yours" }));
                }

                return of;
            });

        Assert.All(errors, Assert.Null);
        Assert.Contains("belongs to job 'mine', and rank 1 to 'yours'", Assert.IsType<MoeException>(stranger).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_process_of_another_protocol_is_told_so_and_the_others_go_on()
    {
        MoeException? told = null;
        RunWell(2, Options(2), (rendezvous, _) => rendezvous.Exchange("start", default, Long), each: (of, rank) =>
        {
            if (rank == 1)
            {
                using var client = new TcpClient();
                SpinWait.SpinUntil(() => Record.Exception(() => client.Connect(IPAddress.Loopback, of.Port)) is null, Long);
                byte[] greeting = FrameText.Join(FrameText.Of("moe-rendezvous-1"), FrameText.Of(1));
                client.GetStream().Write([(byte)greeting.Length, 0, 0, 0, (byte)FrameKind.Hello, 0, 0, 0, 0, .. greeting]);
                byte[] header = new byte[Frame.HeaderBytes];
                client.GetStream().ReadExactly(header);
                byte[] end = new byte[header[0] + (header[1] << 8)];
                client.GetStream().ReadExactly(end);
                told = header[4] == (byte)FrameKind.End ? FrameText.ToEnd(end) : null;
            }

            return of;
        });

        Assert.Equal(MoeReason.Configuration, told?.Reason);
        Assert.EndsWith("speaks moe-rendezvous-2, and this rank moe-rendezvous-1; the same version of Moe.Plugins is expected on all ranks.", told?.Message, StringComparison.Ordinal);
    }

    /// <summary>Rank 0 whose others did not come in time still listens for a moment: who tries again at once is not to be told of that end.</summary>
    [Fact]
    public void Who_comes_after_the_end_waits_for_the_next_group()
    {
        var clock = new FakeTimeProvider();
        MoeRendezvousOptions options = Options(2);
        var ended = new RendezvousHub(options with { Clock = clock });
        clock.Advance(Long);

        RunWell(2, options, (rendezvous, _) => rendezvous.Exchange("start", default, Long), each: (of, rank) =>
        {
            if (rank == 0)
            {
                // Long enough for rank 1 to be turned away.
                Thread.Sleep(200);
                ended.Close();
            }

            return of;
        });
    }

    [Theory]
    [InlineData(new byte[0])]
    [InlineData(new byte[] { 71, 69, 84, 32, 47, 32, 72, 84, 84, 80 })]
    [InlineData(new byte[] { 0xff, 0xff, 0xff, 0x7f, 1, 0, 0, 0, 0 })]
    [InlineData(new byte[] { 4, 0, 0, 0, 1, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff })]
    public void Strangers_at_the_port_disturb_nobody(byte[] sent)
    {
        MoeRendezvousOptions options = Options(2);
        RunWell(2, options, (rendezvous, _) => rendezvous.Exchange("start", default, Long), each: (of, rank) =>
        {
            if (rank == 1)
            {
                using var client = new TcpClient();
                SpinWait.SpinUntil(() => Record.Exception(() => client.Connect(IPAddress.Loopback, of.Port)) is null, Long);
                client.GetStream().Write(sent);
            }

            return of;
        });
    }

    [Fact]
    public void A_port_is_free_again_for_the_next_group()
    {
        MoeRendezvousOptions options = Options(2);
        for (int i = 0; i < 5; i++)
        {
            RunWell(2, options, (rendezvous, _) =>
            {
                rendezvous.Exchange("start", default, Long);
                using MoeRendezvous second = MoeRendezvous.Join(options with { Rank = rendezvous.Rank });
                second.Exchange("start", default, Long);
                rendezvous.Exchange("end", default, Long);
            });
        }
    }

    [Fact]
    public void A_port_that_is_taken_is_named()
    {
        var other = new TcpListener(IPAddress.Loopback, 0);
        other.Start();
        int port = ((IPEndPoint)other.LocalEndpoint).Port;
        MoeException error = Assert.Throws<MoeException>(() => MoeRendezvous.Join(Options(2) with { Port = port }));
        other.Stop();

        Assert.Equal(MoeReason.Configuration, error.Reason);
        Assert.Contains($"cannot listen at localhost:{port}", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("", 1, 0, 2, "Address is empty")]
    [InlineData("localhost", 0, 0, 2, "Port is 0")]
    [InlineData("unix:here", 0, 0, 2, "'here' is no whole path")]
    [InlineData("unix:/tmp/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789", 0, 0, 2, "longer than the 107 bytes")]
    [InlineData("localhost", 1, 2, 2, "Rank is 2; 0 to 1 is expected")]
    [InlineData("localhost", 1, 0, 0, "Count is 0")]
    public void Wrong_options_are_named(string address, int port, int rank, int count, string words) =>
        Assert.Contains(
            words,
            Assert.Throws<MoeException>(() => MoeRendezvous.Join(new MoeRendezvousOptions { Address = address, Port = port, Rank = rank, Count = count })).Message,
            StringComparison.Ordinal);

    // Rank 1 ends it while the thread of rank 2 that would hear of it is kept, until rank 0 lets it go.
    private static void EndWhileRank2HearsNothing(FakeTimeProvider clock, Action<bool> hears, Action<int> ended, Action<ManualResetEventSlim> letHear)
    {
        using var mayHear = new ManualResetEventSlim();
        using var isKept = new ManualResetEventSlim();
        using var haveEnded = new CountdownEvent(3);
        Exception?[] errors = Run(3, Options(3) with { Clock = clock }, (rendezvous, rank) =>
        {
            rendezvous.Received += (_, _) =>
            {
                if (rank == 2)
                {
                    isKept.Set();
                    mayHear.Wait();
                    hears(true);
                }
            };
            rendezvous.Ended += _ =>
            {
                ended(rank);
                haveEnded.Signal();
            };
            rendezvous.Exchange("start", default, Long);
            if (rank == 1)
            {
                rendezvous.Send(new byte[1]);
                isKept.Wait();
                rendezvous.Abort(MoeReason.PeerFailed, "Rank 1 has no memory left.");
            }
            else if (rank == 0)
            {
                SpinWait.SpinUntil(() => rendezvous.Failure is not null);
                letHear(mayHear);
            }

            Assert.True(haveEnded.Wait(Long));
        });
        Assert.All(errors, Assert.Null);
    }

    private static MoeRendezvousOptions Options(int count) => new() { Address = "localhost", Port = FreePort.Find(), Rank = 0, Count = count, Timeout = Long };

    private static void AssertEnd(Exception?[] errors, MoeReason reason, params string[] anyOf) => Assert.All(errors, error =>
    {
        MoeException failure = Assert.IsType<MoeException>(error);
        Assert.Equal(reason, failure.Reason);
        Assert.Contains(anyOf, words => failure.Message.Contains(words, StringComparison.Ordinal));
    });

    private static void RunWell(int count, MoeRendezvousOptions options, Action<MoeRendezvous, int> work, Func<MoeRendezvousOptions, int, MoeRendezvousOptions>? each = null) =>
        Assert.All(Run(count, options, work, each: each), Assert.Null);

    private static Exception?[] Run(
        int count, MoeRendezvousOptions options, Action<MoeRendezvous, int> work, FakeTimeProvider? clock = null, Func<MoeRendezvousOptions, int, MoeRendezvousOptions>? each = null)
    {
        var errors = new Exception?[count];
        Thread[] threads = [.. errors.Select((_, rank) => new Thread(() => errors[rank] = Record.Exception(() =>
        {
            MoeRendezvousOptions own = options with { Rank = rank };
            using MoeRendezvous rendezvous = MoeRendezvous.Join(each?.Invoke(own, rank) ?? own);
            work(rendezvous, rank);
        })) { IsBackground = true })];
        Array.ForEach(threads, thread => thread.Start());
        foreach (Thread thread in threads)
        {
            for (int i = 0; !thread.Join(20); i++)
            {
                clock?.Advance(TimeSpan.FromSeconds(1));
                Assert.True(i < 3000, "a rank does not come back");
            }
        }

        return errors;
    }
}
