namespace Moe.Plugins.Tests;

/// <summary>The clock that a trial is held to, moved by hand.</summary>
public sealed class OwnTimeTests
{
    private TimeSpan _now;
    private TimeSpan _waited;

    [Fact]
    public void Time_passes_as_it_is_looked_at()
    {
        OwnTime time = Clock();
        Assert.Equal(Ms(50), Pass(time, 50));
        Assert.Equal(Ms(110), Pass(time, 60));
    }

    [Fact]
    public void What_passes_while_the_process_is_suspended_hardly_counts()
    {
        OwnTime time = Clock();
        Pass(time, 50);
        Assert.Equal(Ms(250), Pass(time, 3_600_000));
    }

    [Fact]
    public void Waiting_for_a_processor_does_not_count()
    {
        OwnTime time = Clock();
        _waited = Ms(45);
        Assert.Equal(Ms(5), Pass(time, 50));
        _waited = Ms(70);
        Assert.Equal(Ms(5), Pass(time, 50));
    }

    private static TimeSpan Ms(int milliseconds) => TimeSpan.FromMilliseconds(milliseconds);

    private OwnTime Clock() => new(() => _now, () => _waited);

    private TimeSpan Pass(OwnTime time, int milliseconds)
    {
        _now += Ms(milliseconds);
        return time.Look();
    }
}
