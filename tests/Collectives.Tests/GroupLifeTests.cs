namespace Moe.Plugins.Collectives.Tests;

/// <summary>How a group ends, without a device.</summary>
public sealed class GroupLifeTests
{
    [Fact]
    public void A_watchdog_that_looks_is_waited_for_before_what_it_reads_is_freed()
    {
        using var isLooking = new ManualResetEventSlim();
        using var mayGoOn = new ManualResetEventSlim();
        var order = new List<string>();
        int looks = 0;
        var request = new MoeGroupRequest { Devices = [MoeDevice.Cuda(0)], MaxTokens = 1, Width = 8, Timeout = TimeSpan.FromMilliseconds(20) };
        var life = new GroupLife(
            request,
            () =>
            {
                if (Interlocked.Increment(ref looks) == 1)
                {
                    isLooking.Set();
                    mayGoOn.Wait();
                    lock (order)
                    {
                        order.Add("looked");
                    }
                }

                return null;
            },
            () => { });
        isLooking.Wait(TestContext.Current.CancellationToken);
        var disposing = new Thread(() =>
        {
            life.Dispose();
            lock (order)
            {
                order.Add("disposed");
            }
        });
        disposing.Start();

        // Long enough for who waits for nobody.
        disposing.Join(100);
        mayGoOn.Set();
        disposing.Join();

        Assert.Equal(["looked", "disposed"], order);
    }
}
