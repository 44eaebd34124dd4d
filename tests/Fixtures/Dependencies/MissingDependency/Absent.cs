namespace Fixtures;

/// <summary>What three fixtures need and none of them ships.</summary>
public class Absent
{
    public string Text { get; } = "here after all";
}
