using Microsoft.Extensions.Time.Testing;

namespace Moe.Plugins.Collectives.Tests;

/// <summary>Threads whose ranks share a device meet in their calls, and no others do.</summary>
public sealed class CallLedgerTests
{
    private static readonly TimeSpan Soon = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private readonly FakeTimeProvider _clock = new();
    private MoeReason? _end;
    private string _message = "";

    [Fact]
    public void Ranks_that_share_a_device_launch_once_all_have_come_and_go_on_once_all_have_launched()
    {
        CallLedger<int> ledger = Create(0, 1, 0);
        Thread come = Start(() => ledger.Note(0, 7));
        ledger.Note(1, 7);
        ledger.NoteLaunch(1);
        Assert.False(come.Join(Soon), "Rank 0 did not wait for rank 2.");
        ledger.Note(2, 7);
        Assert.True(come.Join(Patience));

        Thread launched = Start(() => ledger.NoteLaunch(2));
        Assert.False(launched.Join(Soon), "Rank 2 did not wait for rank 0's launch.");
        ledger.NoteLaunch(0);
        Assert.True(launched.Join(Patience));
        Assert.Null(_end);
    }

    [Fact]
    public void Ranks_of_their_own_devices_do_not_wait()
    {
        CallLedger<int> ledger = Create(0, 1);
        Thread alone = Start(() =>
        {
            for (int call = 0; call < 3; call++)
            {
                ledger.Note(0, call);
                ledger.NoteLaunch(0);
            }
        });
        Assert.True(alone.Join(Patience));
        Assert.Null(_end);
    }

    [Fact]
    public void A_rank_is_let_go_when_the_group_ends()
    {
        CallLedger<int> ledger = Create(0, 0);
        Thread come = Start(() => ledger.Note(0, 7));
        Assert.False(come.Join(Soon));
        ledger.Close();
        Assert.True(come.Join(Patience));
        ledger.NoteLaunch(0);
    }

    [Fact]
    public void Another_call_ends_the_group_while_a_rank_waits()
    {
        CallLedger<int> ledger = Create(0, 0);
        Thread come = Start(() => ledger.Note(0, 7));
        Assert.False(come.Join(Soon));
        ledger.Note(1, 8);
        Assert.True(come.Join(Patience));
        Assert.Equal(MoeReason.ContractBroken, _end);
    }

    /// <summary>All have come; one launches, and the other fails without a word. Where streams are recorded no kernel's clock sees it.</summary>
    [Fact]
    public void A_rank_that_comes_and_does_not_launch_ends_the_group()
    {
        CallLedger<int> ledger = Create(0, 1, 0);
        Thread come = Start(() => ledger.Note(0, 7));
        ledger.Note(1, 7);
        ledger.NoteLaunch(1);
        ledger.Note(2, 7);
        Assert.True(come.Join(Patience));
        _clock.Advance(TimeSpan.FromMinutes(1));
        ledger.Watch();
        Assert.Null(_end);

        Thread launched = Start(() => ledger.NoteLaunch(2));
        Assert.True(SpinWait.SpinUntil(() => launched.ThreadState.HasFlag(ThreadState.WaitSleepJoin), Patience), "Rank 2 did not wait for rank 0's launch.");
        ledger.Watch();
        Assert.Null(_end);

        _clock.Advance(TimeSpan.FromMinutes(1));
        ledger.Watch();
        Assert.True(launched.Join(Patience));
        Assert.Equal(MoeReason.TimedOut, _end);
        Assert.StartsWith("Rank 0 did not launch 7 within 30 s", _message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_rank_that_does_not_come_ends_the_group()
    {
        CallLedger<int> ledger = Create(0, 1, 2);
        ledger.Note(1, 7);
        _clock.Advance(TimeSpan.FromSeconds(29));
        ledger.Watch();
        Assert.Null(_end);

        _clock.Advance(TimeSpan.FromSeconds(1));
        ledger.Watch();
        Assert.Equal(MoeReason.TimedOut, _end);
        Assert.StartsWith("Ranks 0, 2 did not come within 30 s", _message, StringComparison.Ordinal);
    }

    private static Thread Start(Action work)
    {
        var thread = new Thread(() => work()) { IsBackground = true };
        thread.Start();
        return thread;
    }

    private CallLedger<int> Create(params int[] devices)
    {
        CallLedger<int>? ledger = null;
        var request = new MoeGroupRequest
        {
            Devices = [.. devices.Select(MoeDevice.Cuda)],
            MaxTokens = 1,
            Width = 8,
            Clock = _clock,
            Timeout = TimeSpan.FromSeconds(30),
        };
        ledger = new CallLedger<int>(request, waits: true, (reason, message) =>
        {
            (_end, _message) = (reason, message);
            ledger!.Close();
        });
        return ledger;
    }
}
