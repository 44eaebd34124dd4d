using System.Globalization;
using System.Reflection;

namespace Moe.Plugins.Cli;

/// <summary>When, and by which version of this program, something was measured, as results say it.</summary>
internal static class RunStamp
{
    /// <summary>This program's version.</summary>
    public static string Version { get; } =
        typeof(RunStamp).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion.Split('+')[0];

    /// <summary>The time, ISO 8601 in UTC.</summary>
    public static string Now() => DateTime.UtcNow.ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture);

    /// <summary>The date without the time.</summary>
    public static string Day(string date) => date.Split('T')[0];
}
