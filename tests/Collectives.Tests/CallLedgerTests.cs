namespace Moe.Plugins.Collectives.Tests;

/// <summary>Threads whose ranks share a device meet in their calls, and no others do.</summary>
public sealed class CallLedgerTests
{
    private static readonly TimeSpan Soon = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private MoeReason? _end;

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

    private static Thread Start(Action work)
    {
        var thread = new Thread(() => work()) { IsBackground = true };
        thread.Start();
        return thread;
    }

    private CallLedger<int> Create(params int[] devices)
    {
        CallLedger<int>? ledger = null;
        var request = new MoeGroupRequest { Devices = [.. devices.Select(MoeDevice.Cuda)], MaxTokens = 1, Width = 8 };
        ledger = new CallLedger<int>(request, waits: true, (reason, _) =>
        {
            _end = reason;
            ledger!.Close();
        });
        return ledger;
    }
}
