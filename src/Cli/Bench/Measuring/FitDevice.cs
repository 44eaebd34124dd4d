namespace Moe.Plugins.Cli;

/// <summary>Refuses to measure on a device that something holds back.</summary>
internal static class FitDevice
{
    /// <summary>The condition, if figures measured in it mean something.</summary>
    /// <exception cref="CommandException">They would not.</exception>
    public static MoeDeviceCondition Require(MoeDeviceCondition condition) => !condition.IsUnfitForMeasuring
        ? condition
        : throw new CommandException(
            ExitCode.Throttled,
            $"{condition.Name} is held back ({condition.Throttle}), so that figures would mean nothing; they are not measured. "
            + "Rows that were written before were measured while it was not.");
}
